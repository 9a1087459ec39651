"""Plans in one shot: what stays, what it costs, and the network that comes of it."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet import cost
from linnet.core import ChannelGraph
from linnet.core.channels import graph as graph_module
from linnet.errors import BudgetError, InputError
from linnet.models import create
from linnet.prune import Budget, Plan, extract, plan
from tests.zoo import ZOO

EXAMPLE = torch.zeros(1, 3, 16, 16)
_NO_ROOM = {
    "hard slices",
    "fused attention",
    "torch attention",
    "tied",
    "pyramid",
}  # frozen, or wider than 0.7 at least


@pytest.mark.parametrize("name", sorted(set(ZOO) - _NO_ROOM))
def test_the_extracted_network_costs_what_the_plan_says(name):
    model, example = ZOO[name].model(), ZOO[name].example()
    made = plan(model, example, Budget(params=0.7), align=1, criterion="random", rng_seed=1)
    found = cost(extract(model, made), example)
    assert {key: getattr(found, key) for key in made.after} == made.after
    assert found.params <= 0.7 * made.before["params"]


@pytest.mark.parametrize("name", sorted(_NO_ROOM))
def test_a_network_without_room_is_refused_in_words(name):
    with pytest.raises(BudgetError, match="`align`"):
        plan(ZOO[name].model(), ZOO[name].example(), Budget(params=0.7), align=1)


def test_the_largest_weights_stay():
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.arange(8.0).flip(0)[:, None, None, None].expand(8, 3, 1, 1) + 1)
    made = plan(net, EXAMPLE, Budget(macs=0.5), align=4)
    assert made.kept == {"0": (0, 1, 2, 3)}
    small = extract(net, made)
    assert torch.equal(small[0].weight, net[0].weight[:4])
    assert type(small) is nn.Sequential
    assert list(small.state_dict()) == list(net.state_dict())


def test_bn_scale_ranks_by_gamma():
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([0.1, -5, 0.2, 4, 0.3, 3, 0, 2]))
    assert plan(net, EXAMPLE, Budget(macs=0.5), align=4, criterion="bn_scale").kept["0"] == (1, 3, 5, 7)


def test_bn_scale_of_a_class_without_batch_norm_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1))
    with pytest.raises(BudgetError, match=r"`0`.*criterion='l1'"):
        plan(net, EXAMPLE, Budget(macs=0.5), align=4, criterion="bn_scale")


def test_random_needs_nothing_but_its_seed():
    net = create("resnet", width=16)
    first, again, other = (
        plan(net, EXAMPLE, Budget(macs=0.4), criterion="random", rng_seed=seed).kept for seed in (0, 0, 1)
    )
    assert first == again != other


def test_json_there_and_back():
    made = plan(create("resnet"), EXAMPLE, Budget(macs=0.4, params=0.5))
    assert Plan.from_json(made.to_json()) == made


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"budget": {"macs": 0}, "kept": {}}'])
def test_json_that_is_no_plan_is_refused(text):
    with pytest.raises(BudgetError, match=r"`Plan\.to_json`|`macs`"):
        Plan.from_json(text)


def test_print_shows_every_class_with_the_reason_of_those_that_stay_whole():
    text = str(plan(create("resnet"), EXAMPLE, Budget(macs=0.4), keep=["layer1.*"]))
    assert "whole: it is the model's output" in text
    assert "whole: the caller keeps it" in text
    assert "macs: " in text


def test_keep_and_limits_hold():
    made = plan(create("resnet", width=32), EXAMPLE, Budget(macs=0.7), keep=["layer2.*"], limits={"layer3.1": 0.25})
    assert not any(name.startswith("layer2") for name in made.kept)
    assert len(made.kept["layer3.1.conv1"]) <= 0.25 * made.dense["layer3.1.conv1"]


@pytest.mark.parametrize("argument", ["keep", "limits"])
def test_a_pattern_that_fits_nothing_is_refused_with_the_nearest(argument):
    given = {"keep": ["layer1.0.conv9"]} if argument == "keep" else {"limits": {"layer1.0.conv9": 0.5}}
    with pytest.raises(BudgetError, match=rf"`{argument}`.*'layer1\.0\.conv9'.*layer1\.0\.conv1"):
        plan(create("resnet"), EXAMPLE, Budget(macs=0.5), **given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"align": 0}, "`align`"),
        ({"min_fraction": 1.5}, "`min_fraction`"),
        ({"limits": {"conv1": 0}}, r"`limits\['conv1'\]`"),
        ({"keep": ["*"]}, "`keep`"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(BudgetError, match=words):
        plan(create("resnet"), EXAMPLE, Budget(macs=0.5), **options)


def test_an_unknown_criterion_and_weights_that_are_not_finite_are_refused():
    net = create("resnet")
    with pytest.raises(InputError, match=r"`criterion`.*[Dd]id you mean.*l1"):
        plan(net, EXAMPLE, Budget(macs=0.5), criterion="l2")
    with torch.no_grad():
        net.conv1.weight[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        plan(net, EXAMPLE, Budget(macs=0.5))


def test_the_plan_of_another_network_is_refused():
    made = plan(create("resnet"), EXAMPLE, Budget(macs=0.5))
    with pytest.raises(BudgetError, match=r"`conv1`.*24"):
        extract(create("resnet", width=24), made)


def test_widths_are_multiples_of_align_or_whole():
    made = plan(create("resnet", width=20), EXAMPLE, Budget(macs=0.4), align=8)
    assert all(len(kept) % 8 == 0 or len(kept) == made.dense[name] for name, kept in made.kept.items())


def test_halves_of_a_chunk_keep_equal_widths():
    entry = next(entry for entry in ZOO.values() if entry.balanced)
    made = plan(entry.model(), entry.example(), Budget(params=0.7), align=1, criterion="random")
    for names in entry.balanced:
        assert len({len(made.kept[name]) for name in names if name in made.kept}) <= 1


def test_a_plan_records_the_network_once(monkeypatch):
    torch.manual_seed(0)
    net, example = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 1)), torch.zeros(1, 3, 8, 8)
    recordings, record = [], graph_module.record_both
    monkeypatch.setattr(graph_module, "record_both", lambda *given: recordings.append(1) or record(*given))
    made = plan(net, example, Budget(macs=0.5), align=1)
    assert len(recordings) == 1
    plan(net, example, Budget(macs=0.5), align=1, graph=ChannelGraph(net, example))
    assert len(recordings) == 2
    extract(net, made)  # from the plan's own sizes
    assert len(recordings) == 2
