"""Parts go back into the big network: beside the weighted mean written entry by entry."""

import itertools

import pytest
import torch
from torch import nn

from linnet.errors import BudgetError, InputError
from linnet.models import create
from linnet.prune import Budget, Plan, extract, federated, plan, scatter

EXAMPLE = torch.zeros(1, 3, 8, 8)


def _net(dtype=torch.float32):
    torch.manual_seed(0)
    return create("resnet", width=8, depth=8).to(dtype)


def _plans(net, count=3):
    return [
        plan(net, EXAMPLE, Budget(macs=0.3 + 0.15 * n), align=1, criterion="random", rng_seed=n) for n in range(count)
    ]


def _parts(net, plans):
    """Extracted networks with other values than the big one's."""
    parts = []
    for number, made in enumerate(plans):
        small = extract(net, made)
        draw = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for tensor in small.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(torch.randn(tensor.shape, generator=draw, dtype=torch.float64).to(tensor.dtype))
                else:
                    tensor.add_(number)
        parts.append(small)
    return parts


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extract_and_scatter_are_the_identity_to_the_bit(dtype):
    net = _net(dtype)
    made = _plans(net)[0]
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert scatter(net, [(made, extract(net, made))], weights=[0.3]) is net
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def _kept(net, made, name):
    """Which positions of each axis of a tensor a plan keeps, found by an edit of the positions themselves."""
    numbered = {}
    for axis in range(net.state_dict()[name].ndim):
        twin = _net(torch.float64)
        tensor = twin.state_dict()[name]
        shape = [-1 if a == axis else 1 for a in range(tensor.ndim)]
        with torch.no_grad():
            tensor.copy_(torch.arange(tensor.shape[axis]).double().view(shape).expand_as(tensor))
        found = extract(twin, made).state_dict()[name].movedim(axis, 0)
        numbered[axis] = found.reshape(len(found), -1)[:, 0].long().tolist()
    return numbered


@pytest.mark.parametrize("name", ["layer1.0.conv1.weight", "layer2.0.bn2.running_var", "head.weight"])
def test_it_is_the_weighted_mean_entry_by_entry(name):
    net, weights = _net(), [1.0, 2.5, 0.25]
    plans = _plans(net)
    parts, before = _parts(net, plans), net.state_dict()[name].clone()
    covered = [_kept(net, made, name) for made in plans]
    scatter(net, list(zip(plans, parts, strict=True)), weights)
    found = net.state_dict()[name]
    for entry in itertools.product(*(range(size) for size in found.shape)):
        held = [
            (w, part.state_dict()[name][tuple(places[a].index(i) for a, i in enumerate(entry))].double())
            for w, part, places in zip(weights, parts, covered, strict=True)
            if all(i in places[a] for a, i in enumerate(entry))
        ]
        expected = sum(w * v for w, v in held) / sum(w for w, _ in held) if held else before[entry].double()
        assert float(found[entry]) == pytest.approx(float(expected), rel=1e-6, abs=1e-7)


def test_whole_numbers_take_the_largest():
    net = _net()
    plans = _plans(net)
    scatter(net, list(zip(plans, _parts(net, plans), strict=True)))
    assert int(net.bn1.num_batches_tracked) == 2


def test_the_order_of_parts_does_not_matter():
    results = []
    for order in (slice(None), slice(None, None, -1)):
        net = _net()
        plans = _plans(net)
        pairs = list(zip(plans, _parts(net, plans), strict=True))
        scatter(net, pairs[order], [1.0, 2.0, 3.0][order])
        results.append(net.state_dict())
    for a, b in zip(results[0].values(), results[1].values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_state_dicts_are_parts_too():
    one, other = _net(), _net()
    plans = _plans(one)
    parts = _parts(one, plans)
    scatter(one, list(zip(plans, parts, strict=True)))
    scatter(other, [(made, part.state_dict()) for made, part in zip(plans, parts, strict=True)])
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def _broken(kind):
    net = _net()
    made = _plans(net)[0]
    state = dict(extract(net, made).state_dict())
    name = "layer1.0.conv1.weight"
    if kind == "missing":
        del state[name]
    elif kind == "size":
        state[name] = state[name][:-1]
    elif kind == "type":
        state[name] = state[name].double()
    elif kind == "head":
        state["head.weight"] = torch.zeros(7, state["head.weight"].shape[1])
    else:
        state[name] = state[name].clone()
        state[name][0, 0, 0, 0] = float("nan")
    return net, made, state


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "`layer1.0.conv1.weight`.*part 1"),
        ("size", r"`layer1.0.conv1.weight`.*\(3, 5, 3, 3\)"),
        ("type", "part 1.*float64"),
        ("head", r"`head.weight`.*\(7,"),
        ("nan", "`layer1.0.conv1.weight`.*NaN"),
    ],
)
def test_a_bad_part_is_refused_and_nothing_is_written(kind, words):
    net, made, state = _broken(kind)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    good = extract(net, made)
    with torch.no_grad():
        good.head.weight.add_(1)
    with pytest.raises(InputError, match=words):
        scatter(net, [(made, good), (made, state)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("weights", "words"),
    [([0.0], r"`weights\[0\]`.*0"), ([float("inf")], r"`weights\[0\]`.*inf"), ([1.0, 2.0], "weights")],
)
def test_bad_weights_are_refused(weights, words):
    net = _net()
    made = _plans(net)[0]
    with pytest.raises(InputError, match=words):
        scatter(net, [(made, extract(net, made))], weights)


def test_no_part_and_a_foreign_plan_are_refused():
    with pytest.raises(InputError, match="part"):
        scatter(_net(), [])
    net = _net()
    made = _plans(net)[0]
    with pytest.raises(BudgetError, match=r"`conv1`.*12"):
        scatter(create("resnet", width=12, depth=8), [(made, extract(net, made))])
    assert isinstance(net, nn.Module)


def test_parts_whose_plans_say_the_same_are_placed_once(monkeypatch):
    """A hundred parts read from a hundred files took a walk over the network each."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 1))
    made = plan(net, torch.zeros(1, 3, 8, 8), Budget(macs=0.5), align=1)
    parts = [(Plan.from_json(made.to_json()), extract(net, made)) for _ in range(5)]
    walks, edit = [], federated.edits.plan
    monkeypatch.setattr(federated.edits, "plan", lambda *given: walks.append(1) or edit(*given))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    scatter(net, parts)
    assert len(walks) == 1
    assert all(torch.allclose(tensor, before[name]) for name, tensor in net.state_dict().items())
