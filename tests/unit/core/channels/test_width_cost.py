"""Costs at any widths, as polynomials, beside the walk over the program."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import TOTALS, WidthCost
from linnet.errors import GraphError
from tests.zoo import ZOO


def _walked(graph, multiplicity):
    cost = graph.cost(multiplicity)
    return [getattr(cost, name) for name in TOTALS]


def _random_edit(graph, draw, *, widen):
    times = int(draw.integers(2, 4))
    edit = {}
    for name, known in graph.classes.items():
        if known.frozen is not None:
            continue
        if widen:
            edit[name] = np.full(known.size, times)
        elif known.uniform is None:
            edit[name] = np.zeros(known.size, dtype=np.int64)
            edit[name][draw.permutation(known.size)[: draw.integers(1, known.size + 1)]] = 1
    return edit


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("widen", [True, False])
def test_totals_equal_the_walked_cost_at_random_widths(name, widen):
    graph = ChannelGraph(ZOO[name].model(), ZOO[name].example())
    law, draw = WidthCost(graph), np.random.default_rng(3)
    rows, expected = [], []
    for _ in range(3):
        edit = _random_edit(graph, draw, widen=widen)
        try:
            expected.append(_walked(graph, edit))
        except GraphError:
            continue  # parts of a split that this edit would leave unequal
        rows.append([int(edit[c].sum()) if c in edit else known.size for c, known in graph.classes.items()])
    if rows:
        assert law.totals(np.array(rows)).tolist() == expected


def test_a_convolution_counted_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    law = WidthCost(ChannelGraph(net, torch.zeros(1, 3, 8, 8)))
    macs, params, size, peak = law.totals(np.array([3, 5, 4]))[0]
    assert macs == 36 * 5 * 27 + 16 * 4 * 45
    assert params == 5 * 27 + 5 + 4 * 45 + 4
    assert size == 4 * params
    assert peak == 4 * max(3 * 64 + 5 * 36, 2 * 5 * 36, 5 * 36 + 4 * 16)


class _PartlyUsed(nn.Module):
    """The first four of eight channels also go where no weight reads them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        y = self.a(x)
        half = y[:, : y.shape[1] // 2].mean()
        return self.b(y) * torch.sigmoid(half)


def test_memory_of_a_part_that_no_weight_reads_is_an_upper_bound():
    graph = ChannelGraph(_PartlyUsed(), torch.zeros(1, 1, 4, 4))
    law = WidthCost(graph)
    for name, known in graph.classes.items():
        if known.frozen is None:
            edit = {name: [1] * (known.size // 2) + [0] * (known.size - known.size // 2)}
            widths = [sum(edit[c]) if c in edit else other.size for c, other in graph.classes.items()]
            walked, found = _walked(graph, edit), law.totals(np.array(widths))[0].tolist()
            assert found[:3] == walked[:3]
            assert found[3] >= walked[3]
