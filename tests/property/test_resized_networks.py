"""Laws of cost and files over the zoo: arithmetic equals tracing, half the FLOPs, and files that come back."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from linnet.core import ChannelGraph, cost, resize
from linnet.engine import load, save
from tests.zoo import ZOO
from tests.zoo.check import draw


@pytest.fixture(scope="module")
def built():
    made = {}

    def build(name):
        if name not in made:
            entry = ZOO[name]
            model = entry.model()
            made[name] = entry, model, ChannelGraph(model, entry.example())
        return made[name]

    return build


@pytest.mark.parametrize("name", ZOO)
def test_the_graph_prices_an_edit_as_tracing_does(name, built):
    entry, model, graph = built(name)
    assert graph.cost() == cost(model, entry.example())
    generator = np.random.default_rng(len(name))
    for numbers in ((0, 1), (1, 2, 3), (0, 1, 2)):
        multiplicity = draw(graph, entry, generator, numbers)
        assert graph.cost(multiplicity) == cost(resize(model, graph, multiplicity), entry.example())


@pytest.mark.parametrize("name", ZOO)
def test_shares_of_classes_lie_within_the_whole(name, built):
    _, _, graph = built(name)
    found = graph.cost()
    assert set(found.by_class) == set(graph.classes)
    assert all(0 <= s.params <= found.params and 0 <= s.macs <= found.macs for s in found.by_class.values())
    assert found.by_module[""].macs == found.macs
    assert found.by_module[""].params == found.params


@pytest.mark.parametrize("name", ZOO)
def test_macs_are_half_of_the_counted_flops(name, built):
    entry, model, _ = built(name)
    x = entry.example(2)  # a batch norm without running statistics refuses one sample
    # torch counts its fused attention kernel as 0 on the CPU: here it runs as the products that it fuses
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    assert cost(model, x).macs * len(x) * 2 == counter.get_total_flops()


@pytest.mark.parametrize("name", ZOO)
def test_a_resized_network_is_stored_and_comes_back_with_the_same_bytes(name, built, tmp_path):
    entry, model, graph = built(name)
    new = resize(model, graph, draw(graph, entry, np.random.default_rng(3), (0, 1, 2)))
    path = save(new, tmp_path / "net.safetensors")
    found = load(entry.model(rng_seed=1), path)
    again = save(found, tmp_path / "again.safetensors")
    assert again.read_bytes() == path.read_bytes()
    x = entry.example()
    with torch.no_grad():
        left, right = new(x), found(x)
    assert torch.equal(_first(left), _first(right))


def _first(output):
    return (
        output
        if isinstance(output, torch.Tensor)
        else next(iter(output.values() if isinstance(output, dict) else output))
    )
