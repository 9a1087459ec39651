"""Pruning, whatever the network: never over budget, maximal, masked is sliced, resumed to the bit, scattered back."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from torch import nn

from linnet import cost
from linnet.core import ChannelGraph, resize
from linnet.errors import BudgetError
from linnet.prune import Budget, Plan, Pruner, extract, plan, scatter
from linnet.prune.masks.masks import Masks
from linnet.prune.masks.reads import maskable_reads
from tests.property.wirings import KINDS, Wiring

EXAMPLE = torch.zeros(1, 2, 4, 4)
SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}
kinds = st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)
seeds = st.integers(0, 2**16)


def _net(kinds, rng_seed, dtype=torch.float32):
    torch.manual_seed(rng_seed)
    return Wiring(kinds, 8).to(dtype)


def _pruner(net, budget, **options):
    """A pruner, or no example of the law when the budget can't be reached by this network."""
    try:
        return Pruner(net, EXAMPLE.to(next(net.parameters()).dtype), budget, **({"warmup": 2, "every": 1} | options))
    except BudgetError:
        reject()


def _train(net, optimizer, pruner, steps):
    seen = []
    for step in steps:
        draw = torch.Generator().manual_seed(step)
        x = torch.randn(5, 2, 4, 4, generator=draw, dtype=torch.float64).to(next(net.parameters()).dtype)
        optimizer.zero_grad()
        (net(x) - x).pow(2).mean().backward()
        optimizer.step()
        seen.append(pruner.step(optimizer))
    return seen


@pytest.mark.slow
@settings(max_examples=15, **SLOW)
@given(
    kinds=kinds,
    rng_seed=seeds,
    macs=st.floats(0.35, 0.95),
    params=st.one_of(st.none(), st.floats(0.35, 0.95)),
    align=st.sampled_from([1, 2, 4]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    compact=st.sampled_from(["auto", "progressive", False]),
)
def test_from_the_first_mask_on_within_the_budget_and_what_comes_is_the_masked_network(
    kinds, rng_seed, macs, params, align, dtype, compact
):
    net = _net(kinds, rng_seed, dtype)
    keys = list(net.state_dict())
    pruner = _pruner(net, Budget(macs=macs, params=params), align=align, steps=10, compact=compact, retire=1)
    seen = _train(net, torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9), pruner, range(8))
    assert all(share <= 1 for step in seen[1:] for share in step.used.values())
    if compact != "progressive":  # else what was taken out can't fill the rest
        selector = pruner._selection.selector
        widths = np.array(pruner._selection.selection.widths)
        for choice, width in zip(selector.free, widths, strict=True):
            for wider in [w for w in choice.widths if w > width][:1]:
                trial = np.where([other is choice for other in selector.free], wider, widths)
                assert not selector.fits(trial)[0]
    small = pruner.finish()
    assert type(small) is Wiring
    assert list(small.state_dict()) == keys
    assert cost(small, EXAMPLE.to(dtype)) == pruner.plan().cost
    x = torch.randn(3, 2, 4, 4, dtype=dtype)
    wanted, given_ = net.eval()(x), small.eval()(x)
    bound = 1e-12 if dtype == torch.float64 else 1e-5
    assert float((wanted - given_).detach().abs().max()) <= bound * float(wanted.detach().abs().max())


class _Whole(nn.Module):
    """Whole numbers only: convolutions, ReLU, addition, concatenation, pooling."""

    def __init__(self, width: int, draw: torch.Generator):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.c, self.head = nn.Conv2d(2 * width, width, 1), nn.Linear(4 * width, 3)
        with torch.no_grad():
            for parameter in self.double().parameters():
                parameter.copy_(torch.randint(-3, 4, parameter.shape, generator=draw))

    def forward(self, x):
        x = torch.relu(self.a(x))
        y = torch.relu(x + self.b(x))
        return self.head(torch.max_pool2d(self.c(torch.cat([x, y], 1)), 2).flatten(1))


@settings(max_examples=20, **SLOW)
@given(width=st.integers(2, 12), rng_seed=seeds)
def test_whole_numbers_are_masked_and_sliced_to_the_same_bits(width, rng_seed):
    draw = torch.Generator().manual_seed(rng_seed)
    net = _Whole(width, draw)
    x = torch.randint(-3, 4, (3, 2, 4, 4), generator=draw).double()
    graph = ChannelGraph(net, x)
    free = [name for name, known in graph.classes.items() if known.frozen is None]
    masks = Masks(net, graph, maskable_reads(net, graph)[0], free)
    kept = torch.rand(masks.total, generator=draw).numpy() < 0.6
    for part in masks.slices.values():
        kept[part.start] = True
    with masks.lifted(net):
        small = resize(net, graph, {name: kept[part].astype(int) for name, part in masks.slices.items()})
    masks.keep(kept)
    assert torch.equal(small(x), net(x))


def _random_plan(net, share, rng_seed):
    try:
        return plan(net, EXAMPLE, Budget(params=share), align=1, criterion="random", rng_seed=rng_seed)
    except BudgetError:
        reject()


@pytest.mark.slow
@settings(max_examples=12, **SLOW)
@given(kinds=kinds, rng_seed=seeds, shares=st.lists(st.floats(0.4, 0.95), min_size=2, max_size=3))
def test_parts_come_back_whatever_their_order(kinds, rng_seed, shares):
    net = _net(kinds, rng_seed)
    plans = [_random_plan(net, share, rng_seed + n) for n, share in enumerate(shares)]
    assert [Plan.from_json(made.to_json()) for made in plans] == plans
    before = copy.deepcopy(net.state_dict())
    parts = [extract(net, made) for made in plans]
    scatter(net, [(plans[0], parts[0])], weights=[0.7])
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    with torch.no_grad():
        for number, part in enumerate(parts):
            for parameter in part.parameters():
                parameter.add_(number + 1)
    pairs, weights = list(zip(plans, parts, strict=True)), [1.0 + n for n in range(len(parts))]
    one, other = (copy.deepcopy(net) for _ in range(2))
    scatter(one, pairs, weights)
    scatter(other, pairs[::-1], weights[::-1])
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b) or bool(((a - b).abs() <= torch.finfo(a.dtype).eps * a.abs()).all())


@pytest.mark.slow
@settings(max_examples=8, **SLOW)
@given(
    kinds=kinds, rng_seed=seeds, stop=st.integers(0, 12), adam=st.booleans(),
    compact=st.sampled_from(["auto", "progressive", False]),
)  # fmt: skip
def test_a_run_resumed_at_any_step_ends_with_the_same_bits(kinds, rng_seed, stop, adam, compact):
    def made():
        net = _net(kinds, rng_seed)
        pruner = _pruner(net, Budget(macs=0.6), align=1, steps=14, compact=compact, retire=2)
        rule = torch.optim.Adam if adam else torch.optim.SGD
        return net, rule(net.parameters(), lr=0.01, **({} if adam else {"momentum": 0.9})), pruner

    net, optimizer, pruner = made()
    _train(net, optimizer, pruner, range(stop))
    stored = copy.deepcopy([pruner.state_dict(), net.state_dict(), optimizer.state_dict()])
    _train(net, optimizer, pruner, range(stop, 12))
    again, its, resumed = made()
    for whole, state in zip((resumed, again, its), stored, strict=True):
        whole.load_state_dict(state)
    _train(again, its, resumed, range(stop, 12))
    assert resumed.plan() == pruner.plan()
    for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@settings(max_examples=10, **SLOW)
@given(rng_seed=seeds, dead=st.lists(st.booleans(), min_size=20, max_size=20))
def test_planted_dead_channels_are_found_exactly(rng_seed, dead):
    torch.manual_seed(rng_seed)
    net = nn.Sequential(nn.Conv2d(2, 10, 3), nn.Sigmoid(), nn.Conv2d(10, 10, 1), nn.Tanh(), nn.Conv2d(10, 2, 1))
    planted = {"0": [n for n in range(1, 10) if dead[n]], "2": [n for n in range(1, 10) if dead[n + 10]]}
    with torch.no_grad():
        for name, reader in (("0", net[2]), ("2", net[4])):
            reader.weight[:, planted[name]] = 0
    gone = {name: [0 if n in channels else 1 for n in range(10)] for name, channels in planted.items()}
    budget = Budget(macs=ChannelGraph(net, EXAMPLE).cost(gone).macs)
    pruner = Pruner(net, EXAMPLE, budget, align=1, min_fraction=0, steps=4, warmup=1, compact=False)
    x = torch.randn(6, 2, 4, 4)
    wanted = net(x).detach()
    net(x).pow(2).sum().backward()
    pruner.step(torch.optim.SGD(net.parameters(), lr=0.0))
    kept = pruner.plan().kept
    assert {name: [n for n in range(10) if n not in kept[name]] for name in planted} == planted
    torch.testing.assert_close(pruner.finish()(x), wanted, rtol=1e-5, atol=1e-6)
