"""Laws of edits over random wirings: their inverse, their products, ones, prices, places, and the bytes of files."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linnet.core import ChannelGraph, cost, resize
from linnet.engine import load, save
from tests.property.wirings import KINDS, Wiring

# Without runs and splits, which need several channels of a class to be followed by another edit.
PLAIN = [kind for kind in KINDS if kind not in ("grouped", "pixel", "shuffle", "glu")]


class Drawn:
    """A random network in float64, its graph, and random numbers."""

    def __init__(self, kinds, rng_seed):
        torch.manual_seed(rng_seed)
        self.kinds, self.model = kinds, Wiring(kinds, 8).double()
        self.x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
        self.graph = ChannelGraph(self.model, self.x)
        self.generator = np.random.default_rng(rng_seed)

    def numbers(self, low, high, graph=None):
        free = [c for c in (graph or self.graph).classes.values() if c.frozen is None]
        drawn = {c.name: self.generator.integers(low, high + 1, c.size) for c in free}
        for numbers in drawn.values():
            numbers[self.generator.integers(len(numbers))] = max(1, low)
        return drawn


def networks(examples):
    """A decorator: the test gets random networks, and fails with their kinds and seed in words."""

    def decorate(test):
        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(kinds=st.lists(st.sampled_from(PLAIN), min_size=1, max_size=4), rng_seed=st.integers(0, 2**16))
        def wrapped(kinds, rng_seed):
            test(Drawn(kinds, rng_seed))

        wrapped.__name__ = test.__name__
        return wrapped

    return decorate


def assert_equal_networks(left, right):
    """Two networks hold the same tensors, to the last bit."""
    for (name, p), (other, q) in zip(left.state_dict().items(), right.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(p, q), name


@networks(8)
def test_ones_change_no_bit(drawn):
    ones = {c.name: np.ones(c.size, dtype=int) for c in drawn.graph.classes.values()}
    assert_equal_networks(drawn.model, resize(drawn.model, drawn.graph, ones))


@networks(8)
def test_narrowed_twice_is_narrowed_by_the_products(drawn):
    first = drawn.numbers(0, 1)
    once = resize(drawn.model, drawn.graph, first)
    again = ChannelGraph(once, drawn.x)
    assert [c for c in again.classes if again.classes[c].frozen is None] == list(first)
    second = drawn.numbers(0, 1, again)
    products = {}
    for name, numbers in first.items():
        products[name] = numbers.copy()
        products[name][numbers == 1] = second[name]
    assert_equal_networks(resize(once, again, second), resize(drawn.model, drawn.graph, products))


@networks(8)
def test_narrowed_and_widened_has_the_first_sizes_and_the_narrow_function(drawn):
    numbers = drawn.numbers(0, 1)
    small = resize(drawn.model, drawn.graph, numbers)
    graph = ChannelGraph(small, drawn.x)
    back = {}
    for name, kept in numbers.items():
        times = np.ones(int(kept.sum()), dtype=int)
        times[drawn.generator.integers(len(times))] += len(kept) - len(times)
        back[name] = times
    wide = resize(small, graph, back, split="random")
    assert [p.shape for p in wide.parameters()] == [p.shape for p in drawn.model.parameters()]
    with torch.no_grad():
        f, g = small(drawn.x), wide(drawn.x)
    assert float((f - g).abs().max() / f.abs().max()) <= 1e-10


@networks(8)
def test_prices_are_those_of_the_edited_network(drawn):
    numbers = drawn.numbers(0, 3)
    expected = cost(resize(drawn.model, drawn.graph, numbers), drawn.x)
    assert drawn.graph.cost(numbers) == expected


@networks(8)
def test_at_inverts_slots(drawn):
    held = 0
    for known in drawn.graph.classes.values():
        for slot in known.slots:
            places = drawn.graph.at(slot.tensor, slot.axis)
            for channel, positions in enumerate(slot.index):
                assert [places[position] for position in positions] == [(known.name, channel)] * len(positions)
                held += len(positions)
    axes = {(slot.tensor, slot.axis) for known in drawn.graph.classes.values() for slot in known.slots}
    assert held == sum(place is not None for axis in axes for place in drawn.graph.at(*axis))


@networks(8)
def test_saved_loaded_and_saved_gives_the_same_bytes(drawn):
    edited = resize(drawn.model, drawn.graph, drawn.numbers(0, 2), split="random")
    with tempfile.TemporaryDirectory() as folder:
        path = save(edited, Path(folder) / "one.safetensors")
        found = load(Wiring(drawn.kinds, 8).double(), path)
        assert_equal_networks(edited, found)
        assert save(found, Path(folder) / "two.safetensors").read_bytes() == path.read_bytes()
        with torch.no_grad():
            assert torch.equal(edited(drawn.x), found(drawn.x))


@networks(6)
def test_plain_data_serves_as_the_graph(drawn):
    again = ChannelGraph.from_dict(drawn.graph.to_dict())
    numbers = drawn.numbers(0, 2)
    assert str(again) == str(drawn.graph)
    assert_equal_networks(resize(drawn.model, drawn.graph, numbers), resize(drawn.model, again, numbers))
