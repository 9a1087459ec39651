"""A network made small in place: every entry of the optimizer's state and of an average is the sliced one."""

import copy

import pytest
import torch
from torch import nn

from linnet.optim import Padam
from linnet.prune import Budget, Pruner

EXAMPLE = torch.zeros(1, 3, 6, 6)
RULES = {
    "sgd": (lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9), {"momentum_buffer"}),
    "adam": (lambda groups: torch.optim.Adam(groups, lr=0.01, amsgrad=True), {"exp_avg", "exp_avg_sq"}),
    "adamw": (lambda groups: torch.optim.AdamW(groups, lr=0.01), {"exp_avg", "exp_avg_sq"}),
    "padam": (lambda groups: Padam(groups, lr=0.01), {"exp_avg", "exp_avg_sq"}),
}


def _net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(24, 2)
    )


def _cut(name, tensor, places, sizes):
    """By hand: rows that make a channel, columns that read it (four positions of each after the flatten)."""
    first, second = (torch.tensor(places[name]) for name in ("0", "3"))
    if name.startswith(("0.", "1.")) and tensor.ndim:
        return tensor[first]
    if name == "3.weight":
        return tensor[second][:, first]
    if name == "3.bias":
        return tensor[second]
    return tensor.view(2, sizes["3"], 4)[:, second].reshape(2, -1) if name == "5.weight" else tensor


@pytest.mark.parametrize("compact", ["auto", "progressive"])
@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_entry_is_the_sliced_one(kind, compact):
    net, draw = _net(), torch.Generator().manual_seed(0)
    average = copy.deepcopy(net)
    names, references = [name for name, _ in net.named_parameters()], list(net.parameters())
    make, keys = RULES[kind]
    optimizer = make([{"params": references[:2]}, {"params": references[2:], "weight_decay": 0.1}])
    options = {"align": 1, "steps": 40, "warmup": 1, "every": 1, "compact": compact, "retire": 2, "also": [average]}
    pruner, smaller = Pruner(net, EXAMPLE, Budget(macs=0.5), **options), 0
    alive = {"0": list(range(8)), "3": list(range(6))}
    for _ in range(24):
        x, y = torch.randn(8, 3, 6, 6, generator=draw), torch.randint(0, 2, (8,), generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        for mean, now in zip(average.parameters(), net.parameters(), strict=True):
            mean.data.lerp_(now.data, 0.1)
        held = {name: copy.deepcopy(optimizer.state[p]) for name, p in zip(names, references, strict=True)}
        tensors, means = (copy.deepcopy(one.state_dict()) for one in (net, average))
        if not pruner.step(optimizer).compacted:
            continue
        smaller += 1
        now = {
            name: torch.from_numpy(pruner._masked_network.alive[part]).nonzero()[:, 0]
            for name, part in pruner._masked_network.slices.items()
        }
        places = {name: [alive[name].index(channel) for channel in now[name].tolist()] for name in alive}
        sizes = {name: len(channels) for name, channels in alive.items()}
        alive = {name: now[name].tolist() for name in alive}
        assert all(p is q for p, q in zip(references, net.parameters(), strict=True))
        assert [p for group in optimizer.param_groups for p in group["params"]] == references
        for name, parameter in zip(names, references, strict=True):
            assert keys <= set(optimizer.state[parameter])
            for key, value in optimizer.state[parameter].items():
                before = held[name][key]
                wanted = _cut(name, before, places, sizes) if getattr(before, "ndim", 0) else before
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(wanted)), (name, key)
        for network, before in ((net, tensors), (average, means)):
            for name, tensor in network.state_dict().items():
                assert torch.equal(tensor, _cut(name, before[name], places, sizes)), name
    assert smaller == 1 if compact == "auto" else smaller >= 2


def test_what_was_taken_out_never_comes_back_and_the_budget_holds():
    net, draw = _net(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
    options = {"align": 1, "steps": 60, "warmup": 1, "every": 1, "compact": "progressive", "retire": 2, "memory": 0.0}
    pruner, before = Pruner(net, EXAMPLE, Budget(macs=0.5), regrow=True, **options), None
    for _ in range(40):
        optimizer.zero_grad()
        net(torch.randn(8, 3, 6, 6, generator=draw)).pow(2).mean().backward()
        optimizer.step()
        step = pruner.step(optimizer)
        assert step.used["macs"] <= 1
        assert not (pruner._masked_network.kept & ~pruner._masked_network.alive).any()
        assert before is None or not (pruner._masked_network.alive & ~before).any()
        before = pruner._masked_network.alive
        x = torch.randn(3, 3, 6, 6, generator=draw)
        torch.testing.assert_close(net.eval()(x), pruner._masked_network.small().eval()(x), rtol=1e-5, atol=1e-6)
        net.train()
    assert not before.all()
