"""Widths by the ranks of layers: smooth where sums of importances end in bottlenecks."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph, cost
from linnet.core.channels.width_cost import WidthCost
from linnet.errors import InputError
from linnet.prune import Budget, Pruner, extract, plan
from linnet.prune.allocate.groups import prunable_groups
from linnet.prune.allocate.ranks import LayerRanks, by_rank
from linnet.prune.allocate.widths import Selector
from linnet.prune.pruning_plan import totals_of

BOTH = Budget(macs=0.238, params=0.059)


def chain(widths, pools, side, channels):
    layers, before = [], channels
    for place, width in enumerate(widths):
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if place in pools else []
        before = width
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))
    return net, torch.zeros(1, channels, side, side)


def small():
    return chain((32, 32, 64, 64, 128, 128), (1, 3), 14, 1)


def selected(net, example, budget):
    graph = ChannelGraph(net, example)
    found, law = prunable_groups(graph, align=1), WidthCost(graph)
    selector = Selector(law, found.free, budget.limits(totals_of(law)))
    ranks = LayerRanks.of(graph, found.free)
    return selector, ranks, by_rank(selector, ranks, [np.ones(group.size) for group in found.free])


def test_two_limits_give_one_width_where_parameters_bind():
    selector, _, found = selected(*small(), BOTH)
    assert found.widths == (19,) * 6
    assert not selector.fits(selector.wider(np.array(found.widths))[1]).any()


def test_widths_of_half_a_vgg_are_smooth_and_use_both_limits():
    widths = (32, 32, 64, 64, 128, 128, 128, 256, 256, 256, 256, 256, 256)
    selector, _, found = selected(*chain(widths, (1, 3, 6, 9, 12), 32, 3), BOTH)
    steps = np.diff(np.log(found.widths))
    assert np.abs(steps).max() < 0.25  # importance alone: 64 -> 8 -> 128
    assert selector.use(found).min() > 0.98


@pytest.mark.parametrize("budget", [BOTH, Budget(macs=0.238), Budget(params=0.2, bytes=0.3)])
def test_no_exchange_of_channels_between_two_layers_is_better(budget):
    selector, ranks, found = selected(*small(), budget)
    best = np.array(found.widths)
    assert selector.fits(best)[0]

    def value(widths):
        sides = np.stack([ranks.inside @ widths, ranks.outside @ widths], axis=1) + ranks.fixed
        return float(np.log(sides.min(axis=1)).sum())

    least = max(abs(np.log(1 + 1 / best.min())), 0.02) * 2  # of whole channels
    for up in range(len(best)):
        for down in range(len(best)):
            trial = best.copy()
            trial[up] += 2
            trial[down] = max(trial[down] - 2, 1)
            if trial[up] <= selector.free[up].size and selector.fits(trial)[0]:
                assert value(trial) <= value(best) + least


def test_the_gradient_is_that_of_the_value():
    _, ranks, _ = selected(*small(), BOTH)
    widths = np.array([20.0, 25.0, 30.0, 28.0, 33.0, 17.0])
    _, gradient = ranks.value(widths)
    for place in range(len(widths)):
        step = np.zeros(len(widths))
        step[place] = 1e-6
        numeric = (ranks.value(widths * np.exp(step))[0] - ranks.value(widths * np.exp(-step))[0]) / 2e-6
        assert abs(numeric - gradient[place]) < 1e-6


def test_real_costs_agree_with_whole_ones():
    graph = ChannelGraph(*small())
    law = WidthCost(graph)
    widths = np.array([[1, 5, 9, 13, 17, 21, 25, 10], law.dense])[:, : len(law.dense)]
    np.testing.assert_allclose(law.real(widths.astype(float)), law.totals(widths))


@pytest.mark.parametrize("shape", ["rank", "uniform", "utility"])
def test_plans_of_each_shape_keep_the_budget(shape):
    net, example = small()
    made = plan(net, example, BOTH, align=1, shape=shape)
    result, dense = cost(extract(net, made), example), cost(net, example)
    assert result.macs <= 0.238 * dense.macs
    assert result.params <= 0.059 * dense.params
    widths = [len(kept) for kept in made.kept.values()]
    if shape == "rank":
        assert widths == [19] * 6
    if shape == "uniform":
        shares = np.array(widths) / (32, 32, 64, 64, 128, 128)
        assert shares.max() - shares.min() < 0.07


def test_ties_and_depthwise_layers_take_the_ranks_of_what_they_feed():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.d = nn.Conv2d(3, 32, 1), nn.Conv2d(32, 32, 3, padding=1, groups=32)
            self.b, self.o = nn.Conv2d(32, 32, 1), nn.Conv2d(32, 4, 1)

        def forward(self, x):
            y = self.a(x)
            return self.o(y + self.b(self.d(y)))

    net, example = Residual(), torch.zeros(1, 3, 8, 8)
    made = plan(net, example, Budget(macs=0.4), align=1, shape="rank")
    assert len(made.kept) == 1
    assert extract(net, made).d.groups == len(made.kept["a"])


def test_a_pruner_under_two_limits_takes_widths_by_rank_and_reports_the_narrow_network():
    net, example = small()
    pruner = Pruner(net, example, BOTH, align=1, steps=4, warmup=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(4):
        optimizer.zero_grad()
        net(torch.randn(4, 1, 14, 14)).logsumexp(1).mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    result = pruner.finish()
    assert [layer.out_channels for layer in result if isinstance(layer, nn.Conv2d)] == [19] * 6
    narrow = [record for record in result.report if record.method == "narrow by rank"]
    assert {record.name for record in narrow} == {"macs of the narrow network", "params of the narrow network"}
    assert set(narrow[0].context["widths"].values()) == {19}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": "round"}, "`shape`"),
        ({"shape": "rank", "select": "per_layer"}, "`select`"),
    ],
)
def test_shapes_that_mean_nothing_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Pruner(*small(), BOTH, align=1, **options)
