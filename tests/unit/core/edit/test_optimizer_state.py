"""Each row of the table of powers: the carried state is the state that the widened network would have collected."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph, resize
from linnet.core.edit.optimizer_state import POWERS, ApproximateState
from linnet.errors import OptimizerStateError
from linnet.optim import Padam


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.bn = nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5)
        self.b, self.c = nn.Conv2d(5, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.c(torch.tanh(self.b(torch.tanh(self.bn(self.a(x))))).mean((2, 3)))


def fresh():
    torch.manual_seed(0)
    return Net().double()


BATCHES = [
    (torch.randn(6, 2, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(s)), torch.arange(6) % 3)
    for s in range(4)
]
GRAPH = ChannelGraph(fresh(), BATCHES[0][0])
WIDER = {"a": [1, 2, 3, 1, 2], "b": [2, 1, 1, 3]}
NARROWER = {"a": [1, 0, 1, 1, 0], "b": [1, 1, 0, 1]}

EXACT = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.0, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.0, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.0, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.0, weight_decay=0.1),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.0),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.0),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.0),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.0),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.0, centered=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01, step_sizes=(0.0, 0.0)),
    "padam": lambda p: Padam(p, lr=1e-30),
}


def train(model, optimizer, batches):
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def worst_state_difference(left, right, models):
    worst = 0.0
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        assert left.state[p].keys() == right.state[q].keys()
        for key, held in left.state[p].items():
            if isinstance(held, torch.Tensor) and held.ndim:
                other = right.state[q][key]
                assert held.shape == other.shape
                worst = max(worst, float((held - other).abs().max() / (other.abs().max() + 1e-30)))
            else:
                assert float(held) == float(right.state[q][key])
    return worst


@pytest.mark.parametrize("split", ["even", "random"])
@pytest.mark.parametrize("name", EXACT)
def test_widened_state_is_what_the_widened_network_collects_at_lr_0(name, split):
    seed = fresh()
    start = copy.deepcopy(seed)
    optimizer = EXACT[name](seed.parameters())
    train(seed, optimizer, BATCHES)
    wide = resize(seed, GRAPH, WIDER, optimizer=optimizer, split=split)
    twin = resize(start, GRAPH, WIDER, split=split)
    other = EXACT[name](twin.parameters())
    train(twin, other, BATCHES)
    assert worst_state_difference(optimizer, other, (wide, twin)) <= 1e-7
    assert [p is q for g in optimizer.param_groups for p, q in zip(g["params"], wide.parameters(), strict=True)] == [
        True
    ] * 7


APPROXIMATE = {
    "adamax": (lambda p: torch.optim.Adamax(p, lr=0.0), "exp_inf"),
    "rmsprop": (lambda p: torch.optim.RMSprop(p, lr=0.0, momentum=0.9), "momentum_buffer"),
    "adadelta": (lambda p: torch.optim.Adadelta(p, lr=0.0), "acc_delta"),
}


# Largest difference of the approximate key, relative to its largest entry: 0.0055, 0.036 and 1 (it was reset) here.
FIGURES = {"adamax": (1e-9, 2e-2), "rmsprop": (1e-9, 0.5), "adadelta": (1.0, 1.0)}


def relative(held, other):
    return float((held - other).abs().max() / (other.abs().max() + 1e-30))


@pytest.mark.parametrize("name", APPROXIMATE)
def test_each_approximate_row_warns_once(name):
    make, key = APPROXIMATE[name]
    seed = fresh()
    optimizer = make(seed.parameters())
    train(seed, optimizer, BATCHES)
    with pytest.warns(ApproximateState, match=key) as caught:
        wide = resize(seed, GRAPH, WIDER, optimizer=optimizer)
    assert len(caught) == 1
    if name == "adadelta":
        assert float(optimizer.state[wide.a.weight]["acc_delta"].abs().max()) == 0.0
    old = resize(fresh(), GRAPH, WIDER)
    other = make(old.parameters())
    train(old, other, BATCHES)
    exact, far = FIGURES[name]
    for p, q in zip(wide.parameters(), old.parameters(), strict=True):
        for kept, held in optimizer.state[p].items():
            if held.ndim and kept != key:
                assert relative(held, other.state[q][kept]) <= 1e-7, kept
    found = relative(*(made.state[network.a.weight][key] for made, network in ((optimizer, wide), (other, old))))
    assert exact <= found <= far


def test_rprop_signs_and_step_sizes_are_copied():
    seed = fresh()
    optimizer = torch.optim.Rprop(seed.parameters(), lr=0.01)
    train(seed, optimizer, BATCHES)
    before = {k: v.clone() for k, v in optimizer.state[seed.a.weight].items() if v.ndim}
    wide = resize(seed, GRAPH, {"a": 2}, optimizer=optimizer)
    after = optimizer.state[wide.a.weight]
    assert torch.equal(after["step_size"], before["step_size"].repeat_interleave(2, 0))
    assert torch.equal(after["prev"], before["prev"].repeat_interleave(2, 0) / 2)


def matrices():
    """A network of matrices alone: Muon takes nothing else."""
    torch.manual_seed(0)
    layers = nn.Linear(3, 5, bias=False), nn.Tanh(), nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False)
    return nn.Sequential(*layers).double()


def test_muon_is_run_and_its_momentum_follows():
    batches = [(x.mean((2, 3))[:, [0, 1, 0]], y) for x, y in BATCHES]
    graph = ChannelGraph(matrices(), batches[0][0])
    edit = {"0": [1, 2, 3, 0, 2], "2": [2, 1, 1, 3]}
    seed = matrices()
    optimizer = torch.optim.Muon(seed.parameters(), lr=1e-30, momentum=0.9, weight_decay=0.1)
    train(seed, optimizer, batches)
    held = {k: v["momentum_buffer"].clone() for k, v in zip(("0", "2", "4"), optimizer.state.values(), strict=True)}
    wide = resize(seed, graph, {**edit, "0": [1, 2, 3, 1, 2]}, optimizer=optimizer, split="random")
    twin = resize(matrices(), graph, {**edit, "0": [1, 2, 3, 1, 2]}, split="random")
    other = torch.optim.Muon(twin.parameters(), lr=1e-30, momentum=0.9, weight_decay=0.1)
    train(twin, other, batches)
    for p, q in zip(wide.parameters(), twin.parameters(), strict=True):
        assert relative(optimizer.state[p]["momentum_buffer"], other.state[q]["momentum_buffer"]) <= 1e-7
    small = resize(wide, ChannelGraph(wide, batches[0][0]), {"0": [1] * 8 + [0]}, optimizer=optimizer)
    assert optimizer.state[small[0].weight]["momentum_buffer"].shape == (8, 3)
    assert relative(optimizer.state[small[0].weight]["momentum_buffer"][0], held["0"][0]) <= 1e-12
    train(small, optimizer, batches)


def test_adam_moments_by_hand():
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)).double()
    graph = ChannelGraph(net, torch.zeros(2, 1, dtype=torch.float64))
    optimizer = torch.optim.Adam(net.parameters())
    (net(torch.ones(3, 1, dtype=torch.float64)) ** 2).sum().backward()
    optimizer.step()
    first = {k: v.clone() for k, v in optimizer.state[net[0].weight].items()}
    last = {k: v.clone() for k, v in optimizer.state[net[1].weight].items()}
    wide = resize(net, graph, {"0": [2, 1]}, optimizer=optimizer)
    made, read = optimizer.state[wide[0].weight], optimizer.state[wide[1].weight]
    m, v = first["exp_avg"], first["exp_avg_sq"]
    assert torch.equal(made["exp_avg"], torch.stack([m[0] / 2, m[0] / 2, m[1]]))
    assert torch.equal(made["exp_avg_sq"], torch.stack([v[0] / 4, v[0] / 4, v[1]]))
    assert torch.equal(read["exp_avg"], last["exp_avg"][:, [0, 0, 1]])
    assert made["step"] == first["step"]


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.005, momentum=0.5),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=1.0),
    "padam": lambda p: Padam(p, lr=0.05),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_20_steps_after_narrowing_are_the_masked_networks_steps(name):
    model = fresh()
    optimizer = OPTIMIZERS[name](model.parameters())
    train(model, optimizer, BATCHES)
    twin, masked = copy.deepcopy(model), {}
    other = OPTIMIZERS[name](twin.parameters())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    small = resize(model, GRAPH, NARROWER, optimizer=optimizer)
    for known, gone in NARROWER.items():
        for slot in GRAPH.classes[known].slots:
            if slot.role == "consume":
                masked[slot.tensor] = torch.tensor(slot.index[np.flatnonzero(np.asarray(gone) == 0)].ravel())

    def silence():
        with torch.no_grad():
            for tensor, columns in masked.items():
                twin.get_parameter(tensor).index_fill_(1, columns, 0.0)

    silence()
    for batch in (BATCHES * 5)[:20]:
        train(small, optimizer, [batch])
        train(twin, other, [batch])
        silence()
    x = BATCHES[1][0]
    with torch.no_grad():
        f, g = twin.eval()(x), small.eval()(x)
    assert float((f - g).abs().max() / f.abs().max()) <= 1e-7


def test_coupled_decay_warns_once_and_decoupled_doesnt():
    for make, expected in (
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1), 1),
        (lambda p: torch.optim.Adam([{"params": list(p), "weight_decay": 0.1}]), 1),
        (lambda p: torch.optim.AdamW(p, weight_decay=0.1), 0),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 0),
    ):
        model = fresh()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            resize(model, GRAPH, WIDER, optimizer=make(model.parameters()))
        assert sum("weight_decay" in str(w.message) for w in caught) == expected


def test_narrowing_warns_of_nothing():
    model = fresh()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    assert resize(model, GRAPH, NARROWER, optimizer=optimizer).linnet_edit.error <= 1e-12


def test_groups_rates_and_schedulers_keep_working():
    model = fresh()
    optimizer = torch.optim.SGD(
        [{"params": [model.a.weight], "lr": 0.5}, {"params": list(model.parameters())[1:]}], lr=0.1, momentum=0.9
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    train(model, optimizer, BATCHES[:1])
    wide = resize(model, GRAPH, WIDER, optimizer=optimizer)
    assert [len(g["params"]) for g in optimizer.param_groups] == [1, 6]
    assert optimizer.param_groups[0]["params"][0] is wide.a.weight
    before = wide.a.weight.detach().clone()
    train(wide, optimizer, BATCHES[1:2])
    schedule.step()
    assert [g["lr"] for g in optimizer.param_groups] == [0.25, 0.05]
    assert not torch.equal(before, wide.a.weight)


class Strange(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["curvature"] = torch.ones_like(p)


class Factored(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["row_var"] = torch.ones(p.shape[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: Strange(p, lr=0.1), "`curvature`.*state_powers"),
        (lambda p: Factored(p, lr=0.1), "`row_var`"),
        (lambda p: torch.optim.LBFGS(p), "LBFGS"),
    ],
)
def test_unknown_state_is_refused_by_its_key_and_nothing_changes(make, words):
    model = fresh()
    optimizer = make(model.parameters())
    if not isinstance(optimizer, torch.optim.LBFGS):
        train(model, optimizer, BATCHES[:1])
    held = [p for g in optimizer.param_groups for p in g["params"]]
    with pytest.raises(OptimizerStateError, match=words):
        resize(model, GRAPH, WIDER, optimizer=optimizer)
    assert all(p is q for p, q in zip(held, model.parameters(), strict=True))
    assert all(p is q for p, q in zip(held, (p for g in optimizer.param_groups for p in g["params"]), strict=True))


def test_taught_powers_are_used():
    model = fresh()
    optimizer = Strange(model.parameters(), lr=0.0)
    train(model, optimizer, BATCHES[:1])
    wide = resize(model, GRAPH, {"a": 2}, optimizer=optimizer, state_powers={"curvature": 3})
    assert torch.equal(optimizer.state[wide.a.weight]["curvature"], torch.full_like(wide.a.weight, 1 / 8))


def test_foreign_parameters_and_per_consumer_shares_are_refused():
    model = fresh()
    with pytest.raises(OptimizerStateError, match=r"group 0.*\(3,\)"):
        resize(model, GRAPH, WIDER, optimizer=torch.optim.SGD([torch.zeros(3, requires_grad=True)], lr=0.1))
    with pytest.raises(OptimizerStateError, match="per_consumer"):
        resize(model, GRAPH, WIDER, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), split="per_consumer")


def test_r_instead_of_r_squared_is_seen(monkeypatch):
    monkeypatch.setitem(POWERS, "Adam", {"exp_avg": 1, "exp_avg_sq": 1, "max_exp_avg_sq": 1})
    with pytest.raises(AssertionError):
        test_widened_state_is_what_the_widened_network_collects_at_lr_0("adam", "even")


def test_random_shares_become_even_before_a_layer_norm():
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    graph = ChannelGraph(net, torch.zeros(2, 3, dtype=torch.float64))
    wide = resize(net, graph, {"0": 2, "2": 2}, optimizer=torch.optim.SGD(net.parameters(), lr=0.1), split="random")
    old, new = net[2].weight.detach(), wide[2].weight.detach()
    assert torch.equal(new[::2, ::2], old / 2)
    assert not torch.equal(wide[4].weight.detach()[:, ::2], net[4].weight.detach() / 2)
