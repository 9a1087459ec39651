"""One rate for all layers, beside an enumeration of all rates."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from linnet.prune import Budget, Pruner, plan
from linnet.prune.allocate.groups import prunable_groups
from linnet.prune.allocate.per_layer import same_rate
from linnet.prune.allocate.widths import Selector
from linnet.prune.budget import within
from linnet.prune.pruning_plan import totals_of


def _net(*widths):
    layers, inputs = [], 3
    for width in widths:
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Conv2d(inputs, 2, 1))


def _selector(net, budget, align):
    graph = ChannelGraph(net, torch.zeros(1, 3, 6, 6))
    law = WidthCost(graph)
    free = prunable_groups(graph, align=align).free
    return Selector(law, free, budget.limits(totals_of(law)))


def _best_rate(selector):
    """The largest feasible rate, by trying 2,000 of them."""
    best = 0.0
    for rate in np.arange(1, 2001) / 2000:
        widths = [max([w for w in c.widths if w <= rate * c.size], default=c.widths[0]) for c in selector.free]
        if within(selector.totals(np.array(widths)), selector.limits)[0]:
            best = max(best, rate)
    return best


@pytest.mark.parametrize("align", [1, 2, 4])
@pytest.mark.parametrize("budget", [Budget(macs=0.3), Budget(params=0.5), Budget(macs=0.6, params=0.4)])
def test_no_layer_lies_below_the_best_rate_and_none_can_grow(budget, align):
    selector = _selector(_net(12, 20, 8), budget, align)
    draw = np.random.default_rng(0)
    found = np.array(same_rate(selector, [draw.random(c.size) for c in selector.free]).widths)
    assert within(selector.totals(found), selector.limits)[0]
    rate = _best_rate(selector)
    for choice, width in zip(selector.free, found, strict=True):
        assert width in choice.widths
        assert width >= max([w for w in choice.widths if w <= rate * choice.size], default=choice.widths[0])
    for row, choice in enumerate(selector.free):
        for wider in [w for w in choice.widths if w > found[row]][:1]:
            trial = found.copy()
            trial[row] = wider
            assert not within(selector.totals(trial), selector.limits)[0]


def test_widths_do_not_look_at_utilities_but_channels_do():
    net = _net(8, 8)
    with torch.no_grad():
        net[0].weight[:4] *= 10
        net[2].weight *= 0.01  # a global choice would empty this layer
    example, budget = torch.zeros(1, 3, 6, 6), Budget(macs=0.3)
    even = plan(net, example, budget, align=1, select="per_layer")
    widths = [len(kept) for kept in even.kept.values()]
    assert widths == [4, 3]  # 7,992 of at most 8,726 MACs; [4, 4] would take 9,360
    first = next(iter(even.kept.values()))
    assert set(range(4)) <= set(first)
    pruner = Pruner(net, example, budget, align=1, criterion="l1", select="per_layer")
    assert pruner.plan().kept == even.kept
