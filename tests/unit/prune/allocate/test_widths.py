"""The selector beside an enumeration of all widths."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import TOTALS, WidthCost
from linnet.errors import BudgetError
from linnet.models import create
from linnet.prune import Budget
from linnet.prune.allocate.groups import prunable_groups
from linnet.prune.allocate.widths import Price, Selector
from linnet.prune.budget import within
from linnet.prune.pruning_plan import totals_of


def _net(*widths):
    layers, inputs = [], 3
    for width in widths:
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Conv2d(inputs, 2, 1))


def _selector(net, budget, *, align=1):
    graph = ChannelGraph(net, torch.zeros(1, 3, 6, 6))
    law = WidthCost(graph)
    free = prunable_groups(graph, align=align).free
    return Selector(law, free, budget.limits(totals_of(law))), free


def _importances(free, rng_seed):
    draw = np.random.default_rng(rng_seed)
    return [draw.random(choice.size) ** 2 for choice in free]


def _best(selector, free, importances):
    """Most importance of any feasible widths: by trying all."""
    ranked = [np.sort(u)[::-1].cumsum() for u in importances]
    widths = np.array(list(itertools.product(*(choice.widths for choice in free))))
    fits = widths[within(selector.totals(widths), selector.limits)]
    return max(sum(r[w - 1] for r, w in zip(ranked, row, strict=True)) for row in fits)


@pytest.mark.parametrize("rng_seed", range(6))
@pytest.mark.parametrize("budget", [Budget(macs=0.4), Budget(params=0.3), Budget(macs=0.5, params=0.3)])
def test_a_price_of_one_keeps_at_least_nine_tenths_of_the_best_importance(budget, rng_seed):
    selector, free = _selector(_net(9, 7, 8), budget)
    importances = _importances(free, rng_seed)
    weights = tuple([1 / len(selector.limits)] * len(selector.limits))
    found = selector.select(importances, Price(1.0, weights))
    assert within(selector.totals(np.array(found.widths)), selector.limits)[0]
    assert found.kept_importance >= 0.9 * _best(selector, free, importances)


@pytest.mark.parametrize("price", ["none", "auto", Price(1.0, (0.3, 0.7))])
@pytest.mark.parametrize("align", [1, 4])
def test_no_class_could_take_its_next_width(price, align):
    selector, free = _selector(_net(16, 24, 12), Budget(macs=0.45, params=0.35), align=align)
    found = np.array(selector.select(_importances(free, 1), price).widths)
    assert within(selector.totals(found), selector.limits)[0]
    for row, choice in enumerate(free):
        wider = [width for width in choice.widths if width > found[row]]
        if wider:
            trial = found.copy()
            trial[row] = wider[0]
            assert not within(selector.totals(trial), selector.limits)[0]


def test_dead_channels_are_the_ones_that_go():
    selector, _free = _selector(_net(10, 10), Budget(macs=0.5))
    alive = [np.r_[np.ones(4), np.zeros(6)], np.r_[np.ones(9), np.zeros(1)]]
    assert selector.totals(np.array([4, 9]))[0, 0] <= selector.limits["macs"]
    widths = selector.select(alive).widths
    assert widths[0] >= 4
    assert widths[1] >= 9


def test_equal_importances_leave_no_class_empty():
    selector, _free = _selector(_net(10, 10), Budget(macs=0.3))
    assert min(selector.select([np.zeros(10), np.zeros(10)]).widths) >= 1


def test_an_unreachable_budget_names_the_smallest_cost_and_who_holds_it():
    with pytest.raises(BudgetError, match=r"`macs`.*`0`.*8 of 16") as error:
        _selector(_net(16, 16), Budget(macs=0.01), align=8)
    graph = ChannelGraph(_net(16, 16), torch.zeros(1, 3, 6, 6))
    least = graph.cost({"0": [1] * 8 + [0] * 8, "2": [1] * 8 + [0] * 8}).macs
    assert f"{least:,}" in str(error.value)


def test_auto_does_not_starve_a_class_where_another_price_is_fair():
    selector, free = _selector(_net(40, 40, 40), Budget(macs=0.4, params=0.4))
    found = selector.select(_importances(free, 2), "auto")
    assert all(width >= 0.1 * choice.size for width, choice in zip(found.widths, free, strict=True))
    assert TOTALS[:2] == ("macs", "params")


def _vgg():
    graph = ChannelGraph(create("vgg16"), torch.zeros(1, 3, 32, 32))
    law = WidthCost(graph)
    free = prunable_groups(graph, align=8).free
    return Selector(law, free, Budget(macs=0.238, params=0.059).limits(totals_of(law))), free


@pytest.mark.parametrize("shape", [0.25, 1.0, 4.0])
def test_auto_uses_both_limits_of_vgg_to_nine_tenths_and_starves_no_class(shape):
    selector, free = _vgg()
    draw = np.random.default_rng(int(4 * shape))
    found = selector.select([draw.random(choice.size) ** shape for choice in free])
    totals = selector.totals(np.array(found.widths))[0]
    for name, limit in selector.limits.items():
        assert 0.9 * limit <= totals[TOTALS.index(name)] <= limit
    assert all(width >= 0.1 * choice.size for width, choice in zip(found.widths, free, strict=True))


def test_auto_keeps_most_importance_of_what_uses_both_limits():
    """Beside all widths: no feasible choice that uses both limits keeps more than a tenth more."""
    layers = [nn.Conv2d(3, 16, 3), nn.MaxPool2d(2), nn.Conv2d(16, 24, 1), nn.Flatten(), nn.Linear(96, 20)]
    selector, free = _selector(nn.Sequential(*layers, nn.ReLU(), nn.Linear(20, 2)), Budget(macs=0.5, params=0.35))
    for rng_seed in range(4):
        importances = _importances(free, rng_seed)
        found = selector.select(importances)
        widths = np.array(list(itertools.product(*(choice.widths for choice in free))))
        totals = selector.totals(widths)[:, :2]
        limits = np.array([selector.limits["macs"], selector.limits["params"]])
        spent = widths[(totals <= limits).all(axis=1) & (totals >= 0.9 * limits).all(axis=1)]
        ranked = [np.sort(u)[::-1].cumsum() for u in importances]
        best = max(sum(r[w - 1] for r, w in zip(ranked, row, strict=True)) for row in spent)
        assert selector.use(found).min() >= 0.9
        assert found.kept_importance >= 0.9 * best


def test_a_limit_above_the_networks_own_cost_counts_as_used():
    selector, free = _selector(_net(16, 16), Budget(macs=0.4, params=10_000_000))
    found = selector.select(_importances(free, 0))
    assert selector.use(found)[0] >= 0.9
    assert selector.use(found)[1] <= 1.0
