"""Random wirings: whatever the blocks and however they are joined, edits are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linnet.core import ChannelGraph, resize
from tests.property.wirings import KINDS, Wiring
from tests.zoo.check import difference, masked


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    rng_seed=st.integers(0, 2**16),
    split=st.sampled_from(["even", "random", "per_consumer"]),
)
def test_random_wirings_both_ways(kinds, rng_seed, split):
    torch.manual_seed(rng_seed)
    model = Wiring(kinds, 8).double()
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    graph = ChannelGraph(model, x)
    generator = np.random.default_rng(rng_seed)
    free = [known for known in graph.classes.values() if known.frozen is None]
    assert free or "grouped" in kinds or "shuffle" in kinds or "pixel" in kinds
    wider = {known.name: generator.integers(1, 5, known.size) for known in free}
    wide = resize(model, graph, wider, split=split, rng_seed=rng_seed)
    assert difference(model, wide, x, training=True) <= 1e-10
    narrower = {known.name: generator.integers(0, 2, known.size) for known in free}
    for numbers in narrower.values():
        numbers[generator.integers(len(numbers))] = 1
    small = resize(model, graph, narrower)
    assert difference(masked(model, graph, narrower), small, x, training=False) <= 1e-10
