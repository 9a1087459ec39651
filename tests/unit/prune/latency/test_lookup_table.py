"""The table: exact at its knots, between them bilinear, never falling."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from linnet.prune.latency.kernel import uses
from linnet.prune.latency.lookup_table import KNOTS, Table, TimedCost, knots


class _Made:
    """Times by a formula; counts how many were asked."""

    def __init__(self, formula):
        self.formula, self.asked = formula, []

    def kernel_ns(self, kernel, inputs, outputs):
        self.asked.append((inputs, outputs))
        return self.formula(inputs, outputs)


def _net():
    return nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 96, 3), nn.ReLU(), nn.Conv2d(96, 4, 1))


def _table(formula, *, align=8):
    graph = ChannelGraph(_net(), torch.zeros(1, 3, 8, 8))
    law = WidthCost(graph)
    least = law.dense.copy()
    least[law.names.index("0")] = least[law.names.index("2")] = 8
    made = _Made(formula)
    return law, made, Table(law, uses(graph.program), least, align=align, measured=made)


@pytest.mark.parametrize(
    ("low", "high", "step", "wanted"),
    [
        (8, 64, 8, [8, 16, 24, 40, 64]), (3, 3, 8, [3]), (8, 512, 8, [8, 16, 40, 96, 224, 512]), (5, 7, 8, [5, 7]),
        (20, 100, 8, [20, 24, 40, 56, 72, 100]),
    ],
)  # fmt: skip
def test_knots_are_multiples_between_the_ends(low, high, step, wanted):
    assert knots(low, high, step) == wanted
    assert len(wanted) <= KNOTS


def test_a_bilinear_time_is_found_exactly_everywhere():
    law, _, table = _table(lambda i, o: 1000 + 3 * i + 5 * o + 2 * i * o)
    for a, b in ((8, 8), (64, 96), (24, 32), (29, 51), (63, 95)):
        widths = law.dense.copy()
        widths[law.names.index("0")], widths[law.names.index("2")] = a, b
        wanted = sum(1000 + 3 * i + 5 * o + 2 * i * o for i, o in ((3, a), (a, b), (b, 4)))
        assert table.ns(widths).tolist() == [wanted]


def test_many_widths_at_once_are_one_by_one():
    law, _, table = _table(lambda i, o: (i * o) ** 1.3)
    draw = np.random.default_rng(0)
    widths = np.repeat(law.dense[None], 9, axis=0)
    widths[:, law.names.index("0")] = draw.integers(8, 65, 9)
    assert table.ns(widths).tolist() == [int(table.ns(row)[0]) for row in widths]


def test_a_kernel_that_is_faster_when_wider_never_makes_a_wider_network_seem_faster():
    law, _, table = _table(lambda i, o: 1e6 / (i + o) if (i + o) % 24 else 5e6)
    widths = np.repeat(law.dense[None], 57, axis=0)
    widths[:, law.names.index("0")] = np.arange(8, 65)
    assert np.all(np.diff(table.ns(widths)) >= 0)


def test_at_most_six_by_six_times_are_taken_of_a_kernel():
    _, made, _ = _table(lambda i, o: 1.0)
    middle = [(i, o) for i, o in made.asked if i > 3 and o > 4]
    assert 25 <= len(middle) <= KNOTS * KNOTS
    assert all(i % 8 == 0 and o % 8 == 0 for i, o in middle)


def test_where_every_channel_is_a_group_outputs_follow_the_inputs():
    net = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 64, 3, groups=32), nn.Conv2d(64, 4, 1))
    graph = ChannelGraph(net, torch.zeros(1, 3, 8, 8))
    law = WidthCost(graph)
    made = _Made(lambda i, o: 10.0 * i)
    Table(law, uses(graph.program), np.maximum(law.dense // 4, 1), align=8, measured=made)
    assert {(i, o) for i, o in made.asked if i in (8, 16, 32) and o == 2 * i} >= {(8, 16), (32, 64)}


def test_the_timed_cost_is_the_counted_one_with_a_column_more():
    law, _, table = _table(lambda i, o: 7.0)
    cost = TimedCost(law, table)
    assert cost.columns[-1] == "latency_ns"
    assert cost.totals(law.dense).tolist() == [[*law.totals(law.dense)[0].tolist(), 21]]
