"""Stacked and grouped members are trained to the same bits (but for rounding) as one after the other."""

import copy
import math
import random
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.ensemble import HatchEnsemble
from linnet.ensemble.training.choice import _lower_rank, build, choose
from linnet.ensemble.training.executions import MemberLoop, alike
from linnet.models import ConvNet, ResNet


def members(make, count=3, kind=torch.float64):
    torch.manual_seed(0)
    return [make().to(kind) for _ in range(count)]


def groups():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.BatchNorm2d(8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


class Joins(nn.Module):
    """Joins channels in its own code: grouped members would mix."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(5, 4, 3)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        return self.head(self.b(torch.cat([x, self.a(x).relu()], 1)).mean((2, 3)))


NETWORKS = {
    "residual": (lambda: ResNet(depth=8, width=4, input_shape=(1, 8, 8), classes=4), ("stacked", "grouped")),
    "convolutions": (lambda: ConvNet(input_shape=(1, 8, 8), classes=4), ("stacked", "grouped")),
    "groups": (groups, ("stacked", "grouped")),
    "joined": (Joins, ("stacked",)),
}


def trained(networks, name, optimizer, *, separate, steps=20):
    networks = [copy.deepcopy(network) for network in networks]
    generator = torch.Generator().manual_seed(1)
    shape = (len(networks), 8) if separate else (8,)
    execution = build(name, networks, torch.zeros(8, 1, 8, 8, dtype=torch.float64))
    opt = optimizer(execution.train().parameters())
    for _ in range(steps):
        x = torch.randn(*shape, 1, 8, 8, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 4, shape, generator=generator)
        outputs = execution(x, separate=separate)
        losses = [F.cross_entropy(outputs[k], y[k] if separate else y) for k in range(len(networks))]
        opt.zero_grad()
        torch.stack(losses).sum().backward()
        opt.step()
    execution.write_back()
    return [network.state_dict() for network in networks]


@pytest.mark.parametrize("separate", [False, True], ids=["shared batches", "own batches"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=1e-3),
        lambda p: torch.optim.AdamW(p, lr=1e-3),
    ],
    ids=["sgd", "adamw"],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_equal_the_member_loop(name, optimizer, separate):
    make, executions = NETWORKS[name]
    networks = members(make)
    wanted = trained(networks, "loop", optimizer, separate=separate)
    for execution in executions:
        found = trained(networks, execution, optimizer, separate=separate)
        for ours, theirs in zip(found, wanted, strict=True):
            for key, tensor in theirs.items():  # batch statistics and counts included
                assert float((ours[key].double() - tensor.double()).abs().max()) <= 1e-10, (execution, key)


def test_members_whose_code_joins_channels_are_not_grouped():
    networks = members(Joins)
    assert build("grouped", networks, torch.zeros(4, 1, 8, 8)) is None


def test_unlike_members_go_through_the_loop():
    networks = [*members(lambda: nn.Linear(3, 2), 2, torch.float32), nn.Linear(3, 2, bias=False)]
    assert not alike(networks)
    assert build("stacked", networks, torch.zeros(4, 3)) is None
    choice = choose(networks, torch.zeros(4, 3), lambda execution: lambda: execution(torch.zeros(4, 3)))
    assert (choice.name, choice.reason) == ("loop", "the members have different architectures")


def test_the_choice_is_the_loop_unless_another_is_faster():
    networks = members(groups, kind=torch.float32)
    slow = {"loop": 0, "stacked": 0, "grouped": 0}

    def prepare(execution):
        def step():
            slow[execution.name] += 1
            time.sleep(0.002 if execution.name == "grouped" else 0.01)

        return step

    choice = choose(networks, torch.zeros(4, 1, 8, 8), prepare)
    assert choice.name == "grouped"
    assert choice.seconds["grouped"] < choice.seconds["loop"]
    assert min(slow.values()) > 5
    assert isinstance(build(choice.name, networks, torch.zeros(4, 1, 8, 8)), nn.Module)


class Clock:
    """Seconds that pass only in steps, with a stretch that a busy machine adds to some of them."""

    def __init__(self, costs, stretches):
        self.now, self.costs, self.stretches = 0.0, costs, stretches

    def perf_counter(self):
        return self.now

    def prepare(self, execution):
        def step():
            self.now += self.costs[execution.name] * next(self.stretches)

        return step


def chosen(monkeypatch, costs, stretches):
    clock = Clock(costs, iter(stretches))
    monkeypatch.setattr("linnet.ensemble.training.choice.time", clock)
    return choose(members(groups, kind=torch.float32), torch.zeros(4, 1, 8, 8), clock.prepare)


def test_the_choice_on_a_busy_machine_is_the_loop(monkeypatch):
    draws = random.Random(0)
    for _ in range(20):  # 10 % are no gain where a step takes up to four times as long
        busy = (1 + 3 * draws.random() for _ in range(10_000))
        assert chosen(monkeypatch, {"loop": 0.01, "stacked": 0.011, "grouped": 0.01}, busy).name == "loop"
    quiet = (1 + 0.01 * draws.random() for _ in range(10_000))
    assert chosen(monkeypatch, {"loop": 0.01, "stacked": 0.011, "grouped": 0.009}, quiet).name == "grouped"
    busy = (1 + 3 * draws.random() for _ in range(10_000))
    assert chosen(monkeypatch, {"loop": 0.01, "stacked": 0.01, "grouped": 0.001}, busy).name == "grouped"


def test_short_steps_are_repeated_within_a_turn_and_long_ones_have_few_turns(monkeypatch):
    counts = {}
    for cost in (0.0005, 3.0):
        calls = iter(range(100_000))
        chosen(monkeypatch, {"loop": cost, "stacked": cost, "grouped": cost}, (1 + 0 * n for n in calls))
        counts[cost] = next(calls)
    assert counts[0.0005] >= 3 * 15 * 8
    assert counts[3.0] <= 18


def test_the_median_exceeds_the_ranked_value_with_confidence():
    def tail(count, rank):
        return sum(math.comb(count, below) for below in range(rank + 1)) / 2**count

    for count in range(8, 40):
        rank = _lower_rank(count)
        assert tail(count, rank) <= 0.005 < tail(count, rank + 1)
    assert [_lower_rank(count) for count in (1, 2, 7)] == [0, 0, 0]


def test_dropout_differs_between_members_that_are_stacked():
    networks = members(lambda: nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5)), 2, torch.float32)
    with torch.no_grad():
        networks[1].load_state_dict(networks[0].state_dict())
    outputs = build("stacked", networks, torch.zeros(4, 3)).train()(torch.randn(4, 3))
    assert not torch.equal(outputs[0] == 0, outputs[1] == 0)


def test_the_loop_trains_the_members_themselves():
    ens = HatchEnsemble(members(lambda: nn.Linear(3, 2), 2))
    assert set(MemberLoop(list(ens.members)).parameters()) == set(ens.parameters())
