"""Bad input of the pruner: what came, what was needed, what to do; and network and optimizer are as before."""

import copy

import pytest
import torch
from torch import nn

from linnet.errors import BudgetError, GraphError, TrainingError
from linnet.prune import Budget, Pruner

EXAMPLE = torch.zeros(1, 3, 8, 8)


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(96, 2))


def _trained(steps, **options):
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.6), align=1, **({"steps": 20, "warmup": 1, "every": 1} | options))
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(4, 3, 8, 8, generator=draw)).pow(2).mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    return net, optimizer, pruner


def _all(*parts):
    return copy.deepcopy([part.state_dict() for part in parts])


def _same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


@pytest.mark.parametrize(
    ("make", "options", "error", "words"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 4)), {}, BudgetError, "`align`"),
        (_net, {"keep": ["*"]}, BudgetError, "`keep`"),
        (_net, {"keep": ["3.*"]}, BudgetError, r"`keep`.*'3\.\*'"),
        (_net, {"budget": Budget(macs=1.5)}, BudgetError, "`macs`"),
        (_net, {"example": torch.zeros(1, 5, 8, 8)}, GraphError, "5"),
        (_net, {"example": torch.zeros(1, 3, 8, 8, dtype=torch.int64)}, GraphError, "example"),
        (_net, {"example": "an image"}, GraphError, "`example`"),
    ],
)
def test_a_pruner_that_cannot_be_made_leaves_the_network_as_it_was(make, options, error, words):
    net = make()
    before = _all(net)
    example = options.pop("example", EXAMPLE if make is _net else torch.zeros(1, 3))
    with pytest.raises(error, match=words):
        Pruner(net, example, options.pop("budget", Budget(macs=0.5)), align=1, **options)
    assert _same(_all(net), before)
    assert not any(module._forward_pre_hooks for module in net.modules())


def _without(*path):
    def spoil(state):
        for key in path[:-1]:
            state = state[key]
        del state[path[-1]]

    return spoil


def _with(value, *path):
    def spoil(state):
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without("time"), "`time`"),
        (_without("memory", "utility"), "`memory.utility`"),
        (_without("sizes"), "network"),
        (_with({"0": 9}, "sizes"), "'0': 9"),
        (_with(torch.zeros(3, dtype=torch.float64), "memory", "utility"), r"`memory.utility`.*\(3,\)"),
        (_with(torch.full((14,), torch.nan, dtype=torch.float64), "memory", "utility"), "`memory.utility`.*NaN"),
        (_with("soon", "time", "step"), "`time.step`.*str"),
        (_with(3, "chosen", "widths"), "`chosen.widths`.*int"),
    ],
)
def test_a_damaged_state_is_refused_before_anything_is_taken(spoil, words):
    _, _, other = _trained(12)
    state = other.state_dict()
    spoil(state)
    net, optimizer, pruner = _trained(2)
    before = _all(net, optimizer, pruner)
    with pytest.raises(TrainingError, match=words):
        pruner.load_state_dict(state)
    assert _same(_all(net, optimizer, pruner), before)


def test_a_state_from_before_the_network_became_smaller_is_refused():
    early = _trained(3)[2].state_dict()
    net, optimizer, pruner = _trained(12)
    assert pruner.compacted
    before = _all(net, optimizer, pruner)
    with pytest.raises(TrainingError, match="smaller"):
        pruner.load_state_dict(early)
    assert _same(_all(net, optimizer, pruner), before)


@pytest.mark.parametrize("how", ["foreign", "finished", "no backward"])
def test_a_refused_step_changes_nothing(how):
    net, optimizer, pruner = _trained(3)
    if how == "finished":
        pruner.finish()
    before = _all(net, optimizer, pruner)
    foreign = torch.optim.SGD(_net().parameters(), lr=0.1)
    with pytest.raises(TrainingError, match=r"optimizer|`finish`|backward"):
        pruner.step(foreign if how == "foreign" else optimizer)
    assert _same(_all(net, optimizer, pruner), before)


def test_state_that_cannot_follow_leaves_network_and_optimizer_whole():
    net, optimizer, pruner = _trained(9)
    parameter = net[0].weight
    optimizer.state[parameter]["unknown"] = torch.zeros_like(parameter)
    before = _all(net, optimizer)
    net(torch.randn(4, 3, 8, 8)).pow(2).mean().backward()
    with pytest.raises(ValueError, match="`unknown`"):
        pruner.step(optimizer)
    assert _same(_all(net, optimizer), before)
    assert net[0].weight is parameter
