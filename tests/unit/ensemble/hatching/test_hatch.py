"""hatch: members that compute the seed's function and then differ, by seeds that decide everything."""

import itertools
import logging

import numpy as np
import pytest
import torch
from torch import nn

from linnet.ensemble import HatchEnsemble, hatch
from linnet.errors import GraphError, InputError
from tests.zoo.check import difference

X = torch.zeros(1, 1, 8, 8)


def seed_network(width=8):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 6, 3), nn.Flatten(), nn.Linear(96, 4)
    )


def widths(ens):
    return [tuple(one.after for one in widening.classes) for widening in ens.widenings]


def copied(ens, name="0"):
    """For each member how often each channel of a class is copied."""
    found = []
    for widening in ens.widenings:
        known = next(one for one in widening.classes if one.name == name)
        found.append(np.bincount(known.map, minlength=known.before) - 1)
    return found


@pytest.mark.parametrize("options", [{}, {"widths": "varied"}, {"widths": [1.2, 1.5, 2.0]}, {"maps": "anti"}])
def test_members_compute_the_seeds_function(options):
    model = seed_network().double()
    ens = hatch(model, X.double(), members=3, noise=0, **options)
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    for member in ens.members:
        for training in (False, True):
            assert difference(model, member, x, training=training) <= 1e-10
    assert all(widening.error <= 1e-10 for widening in ens.widenings)
    states = [torch.cat([t.flatten() for t in member.state_dict().values()]) for member in ens.members]
    assert not any(a.shape == b.shape and torch.equal(a, b) for a, b in itertools.pairwise(states))


def test_both_hatches():
    assert widths(hatch(seed_network(), X, 3, factor=1.5, noise=0)) == [(12, 9)] * 3
    varied = widths(hatch(seed_network(), X, 3, factor=1.5, noise=0, widths="varied"))
    assert sorted(varied) == [(10, 7), (12, 9), (14, 11)]
    assert widths(hatch(seed_network(), X, 2, noise=0, widths=[1.2, 2.0])) == [(10, 7), (16, 12)]


def test_anti_correlated_maps_copy_each_channel_in_as_few_members_as_possible():
    anti = copied(hatch(seed_network(), X, 4, factor=1.25, noise=0, maps="anti"))
    assert sum(anti).max() == 1  # 4 members copy 2 of 8 channels each: the sets are disjoint
    wide = copied(hatch(seed_network(), X, 3, factor=2.25, noise=0, maps="anti"))
    assert sum(wide).max() - sum(wide).min() <= 1


def test_seeds_decide_everything_and_the_global_state_is_untouched():
    before = torch.get_rng_state()
    first, again, other = (hatch(seed_network(), X, 2, noise=0.2, rng_seed=seed) for seed in (1, 1, 2))
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    torch.manual_seed(0)  # seed_network draws from the global generator
    seed_network()
    assert before.shape == torch.get_rng_state().shape
    model, before = seed_network(), torch.get_rng_state()
    hatch(model, X, 2)
    assert torch.equal(before, torch.get_rng_state())


def test_several_seeds_are_dealt_out_to_the_members():
    a, b = seed_network().double(), seed_network().double()
    with torch.no_grad():
        b[0].weight.mul_(-1)
    ens = hatch([a, b], X.double(), members=3, noise=0)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    for member, origin in zip(ens.members, (a, b, a), strict=True):
        assert difference(origin, member, x, training=False) <= 1e-10


def test_a_chain_widens_each_member_from_the_trained_one_before():
    trained = []

    def train(member, index):
        trained.append(index)
        with torch.no_grad():
            member[5].bias.add_(1.0)

    model = seed_network().double()
    ens = hatch(model, X.double(), members=3, noise=0, chain=True, train=train)
    assert trained == [0, 1, 2]
    sizes = [member[0].out_channels for member in ens.members]
    assert sizes == [10, 12, 15]
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    base = model.eval()(x)
    for number, member in enumerate(ens.members):
        assert torch.allclose(member.eval()(x), base + number + 1, atol=1e-9)
    with pytest.raises(InputError, match="`chain`"):
        hatch(model, X.double(), chain=True)
    with pytest.raises(InputError, match="`chain` starts from one network"):
        hatch([model, model], X.double(), chain=True, train=train)


def test_stale_statistics_are_measured_again_or_one_warning_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        hatch(seed_network(), X, 3)
    assert caplog.text.count("stale") == 1
    caplog.clear()
    ens = hatch(seed_network(), X, 3, data=[torch.randn(16, 1, 8, 8) for _ in range(2)])
    assert not caplog.records
    assert all("measured again" in widening.notes[-1] for widening in ens.widenings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 0}, "`members` must be a whole number >= 1"),
        ({"members": 2.5}, "`members`"),
        ({"factor": 1.0}, "`factor` must be a number > 1"),
        ({"noise": -1}, "`noise`"),
        ({"widths": "vary"}, "`widths` must be one of 'same', 'varied' .*Did you mean 'varied'"),
        ({"widths": [1.5]}, "`widths` must be 'same', 'varied' or 5 factors"),
        ({"split": "halves"}, "`split`"),
        ({"maps": "unlike"}, "`maps` must be one of"),
        ({"task": "detection"}, "`task` must be one of"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        hatch(seed_network(), X, **options)


def test_lists_of_networks_are_checked():
    with pytest.raises(InputError, match="at most 2"):
        hatch([seed_network()] * 3, X, members=2)
    with pytest.raises(InputError, match=r"torch\.nn\.Module"):
        hatch([], X)
    with pytest.raises(GraphError, match="no channels"):
        hatch(nn.Linear(3, 2), torch.zeros(1, 3))


def test_an_ensemble_pools_its_members():
    ens = hatch(seed_network(), X, 3).eval()
    x = torch.randn(5, 1, 8, 8)
    out = ens(x)
    probs = torch.stack([member(x).double().softmax(1) for member in ens.members])
    assert torch.allclose(out.member_probs, probs, atol=1e-6)
    assert torch.allclose(out.probs, probs.mean(0), atol=1e-6)
    assert float((out.entropy - out.aleatoric - out.epistemic).detach().abs().max()) <= 1e-12
    out.epistemic.sum().backward()
    assert ens.members[0][0].weight.grad is not None
    assert len(ens) == 3


def test_a_deep_ensemble_and_regression_are_ensembles_too():
    ens = HatchEnsemble([nn.Linear(3, 2), nn.Linear(3, 2)], task="regression")
    out = ens(torch.randn(4, 3))
    assert out.mean.shape == (4, 2)
    assert float((out.variance - out.aleatoric - out.epistemic).detach().abs().max()) <= 1e-12
    with pytest.raises(InputError, match=r"members\[1\] \(4, 5\)"):
        HatchEnsemble([nn.Linear(3, 2), nn.Linear(3, 5)])(torch.randn(4, 3))
    with pytest.raises(InputError, match="`members`"):
        HatchEnsemble([])


def test_the_fastest_execution_answers_the_same_with_the_present_weights():
    ens = hatch(seed_network(), X, 4).eval()
    x = torch.randn(16, 1, 8, 8)
    with torch.no_grad():
        wanted = ens.member_outputs(x)
        choice = ens.choose_execution(x)
        assert set(choice.seconds) == {"loop", "stacked", "grouped"}
        for name in choice.seconds:
            ens.forward_impl = type(choice)(name, "by the test")
            ens._joined = (name, x[:2], None, None)
            assert torch.allclose(ens.member_outputs(x), wanted, atol=1e-5)
            ens.members[1][5].bias.add_(1.0)
            assert torch.allclose(ens.member_outputs(x)[1], wanted[1] + 1, atol=1e-5)
            ens.members[1][5].bias.sub_(1.0)
