"""Pruning while training: within the budget from the first mask on, exact on resume, and small at the end."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from linnet import ChannelGraph, cost, load, resize, save
from linnet.errors import BudgetError, InputError, TrainingError
from linnet.models import create
from linnet.prune import Budget, Pruner
from linnet.prune.masks.masks import Masks
from linnet.prune.masks.reads import maskable_reads

EXAMPLE = torch.zeros(1, 3, 8, 8)


def _net(dtype=torch.float32):
    torch.manual_seed(0)
    return create("resnet", width=8, depth=8).to(dtype)


def _batch(step, dtype=torch.float32):
    draw = torch.Generator().manual_seed(step)
    x = torch.randn(8, 3, 8, 8, generator=draw).to(dtype)
    return x, (x.mean(dim=(1, 2, 3)) > 0).long()


def _sgd(net):
    return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)


def _train(net, optimizer, pruner, steps, *, dtype=torch.float32):
    seen = []
    for step in steps:
        x, y = _batch(step, dtype)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        seen.append(pruner.step(optimizer))
    return seen


def _pruner(net, budget=None, **options):
    return Pruner(net, EXAMPLE, budget or Budget(macs=0.4, params=0.5), **({"align": 2, "steps": 24} | options))


def test_it_ends_as_a_plain_small_network_within_the_budget():
    net = _net()
    pruner = _pruner(net)
    _train(net, _sgd(net), pruner, range(24))
    small = pruner.finish()
    found = cost(small, EXAMPLE)
    assert type(small) is type(net)
    assert list(small.state_dict()) == list(_net().state_dict())
    assert not any(module._forward_pre_hooks for module in small.modules())
    assert found.macs <= 0.4 * cost(_net(), EXAMPLE).macs
    assert found.params <= 0.5 * cost(_net(), EXAMPLE).params
    assert {name: getattr(found, name) for name in pruner.plan().after} == pruner.plan().after
    x, _ = _batch(99)
    torch.testing.assert_close(small.eval()(x), net.eval()(x))
    report = {(record.name, record.method): record.value for record in small.report}
    assert report["macs", "pruned"] == found.macs
    assert report["macs", "dense"] == cost(_net(), EXAMPLE).macs


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_from_the_first_mask_on_no_step_is_over_budget(optimizer):
    net = _net()
    seen = _train(net, optimizer(net.parameters(), lr=0.01), pruner := _pruner(net, warmup=3), range(24))
    assert [step.phase for step in seen[:4]] == ["warmup"] * 3 + ["masked"]
    assert max(seen[0].used.values()) > 1
    for step in seen[2:]:  # the call after step 2 sets the mask of step 3
        assert max(step.used.values()) <= 1
    assert [step.step for step in seen if step.compacted] == [11]
    assert pruner.plan().after["macs"] <= 0.4 * pruner.plan().before["macs"]


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_compaction_slices_momentum_entry_by_entry_and_keeps_references(kind):
    net = _net()
    optimizer = _sgd(net) if kind == "sgd" else torch.optim.Adam(net.parameters(), lr=0.01)
    references, groups = list(net.parameters()), optimizer.param_groups
    pruner = _pruner(net)
    _train(net, optimizer, pruner, range(11))
    twin, state = copy.deepcopy(net), copy.deepcopy(optimizer.state_dict())
    graph = ChannelGraph(twin, EXAMPLE)
    masks = Masks(twin, graph, maskable_reads(twin, graph)[0], pruner._masked_network.names)
    masks.keep(pruner._masked_network.kept)
    optimizer_twin = type(optimizer)(twin.parameters(), lr=0.01)
    optimizer_twin.load_state_dict(state)
    rest = copy.deepcopy(pruner._masked_network.kept)
    _train(net, optimizer, pruner, [11])
    assert pruner.compacted
    assert all(a is b for a, b in zip(references, net.parameters(), strict=True))
    assert optimizer.param_groups is groups
    assert all(a is b for a, b in zip(groups[0]["params"], references, strict=True))
    # the same last step, then sliced by hand
    x, y = _batch(11)
    optimizer_twin.zero_grad()
    nn.functional.cross_entropy(twin(x), y).backward()
    optimizer_twin.step()
    masks.remove()
    assert rest.shape == pruner._masked_network.kept.shape
    small = resize(twin, graph, pruner.plan().multiplicity(), optimizer=optimizer_twin)
    for mine, its in zip(net.parameters(), small.parameters(), strict=True):
        assert torch.equal(mine, its)
        for key, value in optimizer_twin.state[its].items():
            assert torch.equal(optimizer.state[mine][key], value), key


def test_a_loss_that_is_still_held_does_not_spoil_the_next_backward():
    net = _net()
    optimizer, pruner, held = _sgd(net), _pruner(net), []
    for step in range(14):
        x, y = _batch(step)
        held.append(nn.functional.cross_entropy(net(x), y))
        optimizer.zero_grad()
        held[-1].backward()
        optimizer.step()
        pruner.step(optimizer)
    assert pruner.compacted


@pytest.mark.parametrize("stop", [1, 5, 12, 18])
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_resuming_at_any_phase_ends_with_the_same_bits(stop, kind, tmp_path):
    def make(net):
        return _sgd(net) if kind == "sgd" else torch.optim.Adam(net.parameters(), lr=0.01)

    net = _net()
    optimizer = make(net)
    pruner = _pruner(net, warmup=3)
    _train(net, optimizer, pruner, range(stop))
    torch.save(
        {"pruner": pruner.state_dict(), "net": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt"
    )
    _train(net, optimizer, pruner, range(stop, 24))

    again = _net()
    optimizer = make(again)
    resumed = _pruner(again, warmup=3)
    stored = torch.load(tmp_path / "c.pt", weights_only=True)
    resumed.load_state_dict(stored["pruner"])
    again.load_state_dict(stored["net"])
    optimizer.load_state_dict(stored["optimizer"])
    _train(again, optimizer, resumed, range(stop, 24))
    assert resumed.plan() == pruner.plan()
    for mine, its in zip(net.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(mine, its)


def test_two_runs_make_the_same_masks():
    kept = []
    for _ in range(2):
        net = _net()
        _train(net, _sgd(net), pruner := _pruner(net), range(12))
        kept.append(pruner.plan().kept)
    assert kept[0] == kept[1]


def test_planted_dead_channels_are_found_and_the_function_stays():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 2, 1)
    )
    dead = [1, 4, 6, 7, 9, 11]
    with torch.no_grad():
        net[2].weight[:, dead] = 0
        net[4].weight[:, dead[:4]] = 0
    whole = ChannelGraph(net, EXAMPLE).cost
    budget = whole(
        {"0": [0 if c in dead else 1 for c in range(12)], "2": [0 if c in dead[:4] else 1 for c in range(12)]}
    )
    pruner = Pruner(net, EXAMPLE, Budget(macs=budget.macs), align=1, steps=4, warmup=1, compact=False)
    x, _ = _batch(0)
    wanted = net(x)
    frozen = torch.optim.SGD(net.parameters(), lr=0.0)
    net(x).pow(2).mean().backward()
    pruner.step(frozen)
    kept = pruner.plan().kept
    assert kept["0"] == tuple(c for c in range(12) if c not in dead)
    assert kept["2"] == tuple(c for c in range(12) if c not in dead[:4])
    torch.testing.assert_close(pruner.finish()(x), wanted, rtol=1e-5, atol=1e-6)


def test_memory_keeps_masked_channels_and_fades_the_others():
    net = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(4, 2) + 1)
        net[1].weight.copy_(torch.tensor([[4.0, 3.0, 2.0, 1.0]]))
    x = torch.ones(1, 2)
    pruner = Pruner(net, x, Budget(macs=0.5), align=1, steps=100, warmup=1, every=1, memory=0.5, normalise="max")
    still = torch.optim.SGD(net.parameters(), lr=0.0)
    for _ in range(3):
        net(x).sum().backward()
        pruner.step(still)
    value = np.array([12.0, 9.0, 4.0, 2.0]) / 12  # |h g|, h = (3, 3, 2, 2)
    assert pruner.plan().kept == {"0": (0, 1)}
    assert pruner.state_dict()["memory"]["utility"].numpy() == pytest.approx(
        value * np.array([1.75, 1.75, 1, 1]), rel=1e-6
    )


def test_bfloat16_autocast_measures():
    net = _net()
    optimizer, pruner = _sgd(net), _pruner(net)
    for step in range(24):
        x, y = _batch(step)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        pruner.step(optimizer)
    assert cost(pruner.finish(), EXAMPLE).macs <= 0.4 * cost(_net(), EXAMPLE).macs


def test_an_average_becomes_small_too():
    net = _net()
    average = copy.deepcopy(net)
    pruner = _pruner(net, also=[average])
    _train(net, _sgd(net), pruner, range(13))
    shapes = [[tuple(t.shape) for t in one.state_dict().values()] for one in (net, average)]
    assert shapes[0] == shapes[1]
    assert cost(average, EXAMPLE).macs == pruner.plan().after["macs"]


def test_the_small_network_is_stored_and_loaded(tmp_path):
    net = _net()
    pruner = _pruner(net)
    _train(net, _sgd(net), pruner, range(24))
    small = pruner.finish()
    save(small, tmp_path / "small.safetensors")
    again = load(_net(), tmp_path / "small.safetensors")
    x, _ = _batch(0)
    assert torch.equal(again.eval()(x), small.eval()(x))


def test_remove_leaves_the_trained_network_without_hooks():
    net = _net()
    pruner = _pruner(net, compact=False)
    _train(net, _sgd(net), pruner, range(24))
    pruner.finish()
    assert any(module._forward_pre_hooks for module in net.modules())
    pruner.remove()
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_what_is_read_outside_of_a_layer_stays_whole():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 16), nn.Linear(16, 16)
            self.weight = nn.Parameter(torch.randn(2, 16))

        def forward(self, x):
            return self.b(self.a(x)) @ self.weight.t()

    net = Own()
    optimizer = _sgd(net)
    pruner = Pruner(net, torch.zeros(1, 3), Budget(macs=0.9), steps=4, warmup=1)
    net(torch.randn(4, 3)).sum().backward()
    pruner.step(optimizer)
    assert "not as the input of a linear or convolution" in pruner.plan().frozen["b"]
    assert list(pruner.plan().kept) == ["a"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"price": "cheap"}, InputError, "`price`"),
        ({"memory": 1.5}, InputError, "`memory`"),
        ({"every": 0}, InputError, "`every`"),
        ({"budget": Budget(macs=0.001)}, BudgetError, "`macs`"),
        ({"keep": ["nothing"]}, BudgetError, "`keep`.*'nothing'"),
        ({"compact": True}, InputError, "`compact`"),
        ({"retire": 0}, InputError, "`retire`"),
    ],
)
def test_bad_options_are_refused_and_leave_no_hook(options, error, words):
    net = _net()
    with pytest.raises(error, match=words):
        _pruner(net, **options)
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_a_step_without_a_backward_pass_is_refused():
    net = _net()
    with pytest.raises(TrainingError, match=r"loss\.backward\(\)"):
        _pruner(net).step(_sgd(net))


def test_another_networks_optimizer_is_refused():
    with pytest.raises(TrainingError, match="optimizer"):
        _pruner(_net()).step(_sgd(_net()))


def test_finishing_before_any_measurement_is_refused():
    with pytest.raises(TrainingError, match="criterion='l1'"):
        _pruner(_net()).finish()


def test_a_step_after_finish_is_refused():
    net = _net()
    optimizer, pruner = _sgd(net), _pruner(net)
    _train(net, optimizer, pruner, range(2))
    pruner.finish()
    with pytest.raises(TrainingError, match="`finish`"):
        pruner.step(optimizer)


def test_finishing_in_the_warmup_selects_first():
    net = _net()
    pruner = _pruner(net, warmup=8)
    _train(net, _sgd(net), pruner, range(2))
    assert cost(pruner.finish(), EXAMPLE).macs <= 0.4 * cost(_net(), EXAMPLE).macs


def test_measurements_that_are_not_finite_are_skipped_and_stop_after_twenty():
    net = _net()
    optimizer, pruner = torch.optim.SGD(net.parameters(), lr=0.0), _pruner(net, every=1, steps=200)
    before = pruner.state_dict()["memory"]["utility"].clone()
    x, y = _batch(0)

    def train(steps):
        for _ in range(steps):
            (nn.functional.cross_entropy(net(x), y) * float("nan")).backward()
            pruner.step(optimizer)

    train(19)
    with pytest.raises(TrainingError, match="20 measurements"):
        train(1)
    assert torch.equal(pruner.state_dict()["memory"]["utility"], before)
    assert pruner.skipped == 20


@pytest.mark.parametrize("state", [{}, {"sizes": {"conv1": 3}}, None])
def test_the_state_of_another_pruner_is_refused(state):
    pruner = _pruner(_net())
    with pytest.raises(TrainingError, match="network"):
        pruner.load_state_dict(state)
