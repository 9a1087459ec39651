"""Random networks and the zoo: whatever is widened computes the same, in eval and train mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from linnet.core import ChannelGraph
from linnet.ensemble import widen
from linnet.ensemble.widening.maps import random_copies, rarest_first
from linnet.errors import GraphError
from tests.property.wirings import KINDS, Wiring
from tests.zoo import FREE, UNIFORM, ZOO
from tests.zoo.check import difference


def has_free(model, x):
    return any(known.frozen is None for known in ChannelGraph(model, x).classes.values())


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    rng_seed=st.integers(0, 2**16),
    factor=st.sampled_from([1.1, 1.25, 1.5, 2.0, 2.7]),
    split=st.sampled_from(["even", "random", "pair"]),
    reinit=st.sampled_from([0.0, 0.5]),
)
def test_a_hundred_random_networks_widen_exactly(kinds, rng_seed, factor, split, reinit):
    torch.manual_seed(rng_seed)
    model = Wiring(kinds, 8).double()
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    assume(has_free(model, x))
    wide = widen(model, x, factor, split=split, reinit=reinit, rng_seed=rng_seed)
    assert wide.widening.error <= 1e-10
    for training in (False, True):
        assert difference(model, wide, x, training=training) <= 1e-10
    assert sum(p.numel() for p in wide.parameters()) > sum(p.numel() for p in model.parameters())


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), rng_seed=st.integers(0, 2**16))
def test_widening_twice_is_a_widening(kinds, rng_seed):
    torch.manual_seed(rng_seed)
    model = Wiring(kinds, 8).double()
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    assume(has_free(model, x))
    once = widen(model, x, 1.5, rng_seed=rng_seed)
    twice = widen(once, x, 1.5, rng_seed=rng_seed + 1)
    assert difference(model, twice, x, training=True) <= 1e-10
    grown = {one.name: one.after for one in twice.widening.classes}
    assert all(grown[one.name] >= 1.5 * one.after - 1 for one in once.widening.classes if one.name in grown)


@pytest.mark.parametrize("split", ["random", "pair"])
@pytest.mark.parametrize("name", [name for name in ZOO if not {FREE, UNIFORM}.isdisjoint(ZOO[name].states.values())])
def test_the_zoo_widens_exactly_or_says_which_normalisation_needs_a_whole_factor(name, split):
    entry = ZOO[name]
    model = entry.model(dtype=torch.float64)
    x = entry.example(3) if entry.tokens else entry.example(3, dtype=torch.float64)
    try:
        wide = widen(model, x, 1.5, split=split)
    except GraphError:
        wide = widen(model, x, 2, split=split)  # what every graph with a free class can do
    assert wide.widening.error <= 1e-10
    for training in (False, True):
        if "Dropout" not in repr(model) or not training:
            assert difference(model, wide, x, training=training) <= 1e-10


@settings(max_examples=30, deadline=None)
@given(channels=st.integers(1, 20), extra=st.integers(0, 60), rng_seed=st.integers(0, 99), members=st.integers(1, 6))
def test_maps_give_out_every_copy_evenly(channels, extra, rng_seed, members):
    copies = random_copies(channels, extra, np.random.default_rng(rng_seed))
    assert copies.sum() == extra
    assert copies.max() - copies.min() <= 1
    taken = np.zeros(channels, dtype=np.int64)
    sets = [rarest_first(taken, extra, np.random.default_rng(rng_seed + k)) for k in range(members)]
    assert all(one.sum() == extra for one in sets)
    assert taken.max() - taken.min() <= 1
    if members * extra <= channels:
        assert sum(sets).max(initial=0) <= 1
