"""The zoo: what may be edited, and that edits are exact."""

import numpy as np
import pytest
import torch

from linnet.core import ChannelGraph, resize
from tests.zoo import FREE, UNIFORM, ZOO
from tests.zoo.check import difference, draw, masked

# Networks of convolutions and batch norm are masked and narrowed through the same sums.
BOUNDS = {torch.float64: 1e-10, torch.float32: 1e-5}


@pytest.fixture(scope="module")
def built():
    made = {}

    def build(name, dtype=torch.float64):
        if (name, dtype) not in made:
            entry = ZOO[name]
            model = entry.model(dtype=dtype)
            torch.manual_seed(0)
            made[name, dtype] = entry, model, ChannelGraph(model, entry.example(dtype=dtype))
        return made[name, dtype]

    return build


def test_the_zoo_is_large_and_its_networks_small():
    assert len(ZOO) >= 24
    assert max(sum(p.numel() for p in entry.model().parameters()) for entry in ZOO.values()) <= 60_000


@pytest.mark.parametrize("name", ZOO)
def test_each_class_is_free_uniform_or_frozen_for_its_reason(name, built):
    entry, _, graph = built(name)
    found = {c.name: c.frozen or (UNIFORM if c.uniform else FREE) for c in graph.classes.values()}
    assert set(found) == set(entry.states)
    for known, state in entry.states.items():
        assert found[known] == state if state in (FREE, UNIFORM) else state in found[known], (known, found[known])
    assert {known: graph.classes[known].size for known in entry.sizes} == dict(entry.sizes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("split", ["even", "random"])
@pytest.mark.parametrize("name", ZOO)
def test_widened_is_the_same_function(name, split, dtype, built):
    entry, model, graph = built(name, dtype)
    generator = np.random.default_rng([len(name), len(split)])
    for seed in range(2):
        multiplicity = draw(graph, entry, generator, (1, 2, 3, 4))
        wide = resize(model, graph, multiplicity, split=split, rng_seed=seed)
        torch.manual_seed(seed)
        x = entry.example(4, dtype=dtype)
        for training in (False, True):
            assert difference(model, wide, x, training=training) <= BOUNDS[dtype]
        assert wide.linnet_edit.error <= BOUNDS[dtype]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", ZOO)
def test_narrowed_is_the_masked_function(name, dtype, built):
    entry, model, graph = built(name, dtype)
    generator = np.random.default_rng(len(name))
    for seed in range(2):
        multiplicity = draw(graph, entry, generator, (0, 1))
        small = resize(model, graph, multiplicity)
        twin = masked(model, graph, multiplicity)
        torch.manual_seed(seed)
        x = entry.example(4, dtype=dtype)
        for training in (False, True):
            assert difference(twin, small, x, training=training) <= (1e-12 if dtype == torch.float64 else 1e-6)
        before, after = (sum(p.numel() for p in m.parameters()) for m in (model, small))
        assert after < before or all((np.asarray(m) == 1).all() for m in multiplicity.values())


@pytest.mark.parametrize("name", ZOO)
def test_narrowed_and_widened_in_one_call(name, built):
    entry, model, graph = built(name)
    multiplicity = draw(graph, entry, np.random.default_rng(7), (0, 1, 2, 3))
    new = resize(model, graph, multiplicity, split="random")
    twin = masked(model, graph, multiplicity)
    assert difference(twin, new, entry.example(4, dtype=torch.float64), training=False) <= 1e-10


@pytest.mark.parametrize("name", ZOO)
def test_ones_change_nothing_to_the_last_bit(name, built):
    _, model, graph = built(name)
    new = resize(model, graph, {c.name: 1 for c in graph.classes.values()})
    assert new is not model
    for (left, old), (right, made) in zip(model.state_dict().items(), new.state_dict().items(), strict=True):
        assert left == right
        assert torch.equal(old, made)
        assert old.data_ptr() != made.data_ptr() or old.numel() == 0


@pytest.mark.parametrize("name", ZOO)
def test_at_inverts_slots(name, built):
    _, _, graph = built(name)
    for known in graph.classes.values():
        for slot in known.slots:
            places = graph.at(slot.tensor, slot.axis)
            for channel, positions in enumerate(slot.index):
                assert all(places[position] == (known.name, channel) for position in positions)
    held = sum(slot.index.size for known in graph.classes.values() for slot in known.slots)
    axes = {(slot.tensor, slot.axis) for known in graph.classes.values() for slot in known.slots}
    assert held == sum(place is not None for axis in axes for place in graph.at(*axis))
