"""The report of a pruned network: costs, layers, milliseconds, accuracy, and what the budget left."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet import cost
from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from linnet.engine.compute.timing import Timing, timed
from linnet.errors import InputError
from linnet.models import create
from linnet.prune import Budget, Pruner, plan
from linnet.prune.allocate.groups import prunable_groups
from linnet.prune.allocate.widths import Selector
from linnet.prune.outcome.records import unused
from linnet.prune.pruning_plan import totals_of

EXAMPLE = torch.zeros(1, 3, 8, 8)


def _trained(steps=8, **options):
    torch.manual_seed(0)
    net = create("tiny", width=16, classes=3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.4), align=2, steps=steps, every=1, **options)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.randn(6, 3, 8, 8)), torch.randint(0, 3, (6,))).backward()
        optimizer.step()
        pruner.step(optimizer)
    return net, pruner


@pytest.fixture(scope="module")
def trained():
    return _trained()


def _by(report):
    return {(r.name, r.method, r.context.get("layer"), r.context.get("class")): r for r in report}


def test_costs_and_layers_are_those_of_both_networks(trained):
    _, pruner = trained
    small = pruner.finish()
    report = _by(small.report)
    found, dense = cost(small, EXAMPLE), cost(create("tiny", width=16, classes=3), EXAMPLE)
    for name in ("macs", "params", "bytes", "peak_activation_bytes"):
        assert report[name, "pruned", None, None].value == getattr(found, name)
        assert report[name, "dense", None, None].value == getattr(dense, name)
    for layer, width in (("conv1", 16), ("conv2", 32), ("head", 3)):
        assert report["channels of layer", "dense", layer, None].value == width
        made = report["macs of layer", "pruned", layer, None].value
        assert made == found.by_module[layer].macs
    assert report["channels of layer", "pruned", "conv2", None].value == small.conv2.out_channels
    assert "whole because" in report["channels of layer", "pruned", "head", None].context
    assert "whole because" not in report["channels of layer", "pruned", "conv1", None].context
    for method, total in (("dense", dense.macs), ("pruned", found.macs)):
        assert sum(r.value for r in small.report if r.name == "macs of layer" and r.method == method) == total
    assert report["proof error", "pruned", None, None].value < 1e-5


def test_milliseconds_are_measured_for_both_and_accuracy_is_absent_without_a_loader(trained):
    _, pruner = trained
    report = pruner.finish().report
    times = {(r.name, r.method): r for r in report if r.unit == "ms"}
    assert set(times) == {(name, method) for name in ("ms p50", "ms p95") for method in ("dense", "pruned")}
    for method in ("dense", "pruned"):
        half, most = times["ms p50", method], times["ms p95", method]
        assert 0 < half.interval[0] <= half.value <= half.interval[1]
        assert half.value <= most.value
        assert half.n >= 5
    assert not {r.name for r in report} & {"accuracy", "nll", "ece", "accuracy in class", "reliability"}


def test_a_loader_adds_accuracy_and_a_dense_network_the_before(trained):
    _, pruner = trained
    draw = torch.Generator().manual_seed(1)
    loader = [(torch.randn(5, 3, 8, 8, generator=draw), torch.tensor([0, 1, 2, 0, 1])) for _ in range(3)]
    small = pruner.finish(eval_loader=loader)
    report = _by(small.report)
    logits = torch.cat([small.eval()(x) for x, _ in loader])
    right = (logits.argmax(1) == torch.cat([y for _, y in loader])).float().mean().item()
    assert report["accuracy", "pruned", None, None].value == pytest.approx(right)
    assert report["accuracy in class", "pruned", None, "2"].n == 3
    assert ("accuracy", "dense", None, None) not in report
    torch.manual_seed(3)
    dense = create("tiny", width=16, classes=3).train()
    both = _by(pruner.finish(eval_loader=loader, dense=dense).report)
    assert both["ece", "dense", None, None].value is not None
    assert dense.training


@pytest.mark.parametrize(
    ("loader", "said"),
    [([], "`eval_loader`"), ([torch.zeros(2, 3, 8, 8)], "`eval_loader`.*Tensor"),
     ([(EXAMPLE, torch.tensor([7]))], "`labels`")],
)  # fmt: skip
def test_a_loader_that_is_none_is_refused(trained, loader, said):
    with pytest.raises(InputError, match=said):
        trained[1].finish(eval_loader=loader)


def test_the_life_of_the_masks_is_plain_data_and_is_resumed(trained):
    _, pruner = trained
    life = pruner.life
    assert life.names == ("conv1", "conv2")
    assert life.steps[0] == 0
    small = pruner.finish()
    assert life.kept[-1] == [small.conv1.out_channels, small.conv2.out_channels]
    assert all(share <= 1 for row in life.used for share in row.values())
    torch.manual_seed(0)
    again = Pruner(create("tiny", width=16, classes=3), EXAMPLE, Budget(macs=0.4), align=2, steps=8, every=1)
    again.load_state_dict(pruner.state_dict())
    assert again.life == life


def _selector(budget, align):
    net = create("tiny", width=16, classes=3)
    graph = ChannelGraph(net, EXAMPLE)
    law = WidthCost(graph)
    selector = Selector(law, prunable_groups(graph, align=align).free, budget.limits(totals_of(law)))
    return selector, plan(net, EXAMPLE, budget, align=align)


def test_what_is_left_is_named_with_the_smallest_step():
    selector, found = _selector(Budget(macs=0.4), 8)
    [(share, why)] = unused(selector, found).values()
    assert share == found.after["macs"] / selector.limits["macs"]
    widths = np.array([len(found.kept[name]) for name in ("conv1", "conv2")])
    steps = [widths + np.array(more) for more in ([8, 0], [0, 8])]
    least = min(int(selector.totals(row)[0][0]) - found.after["macs"] for row in steps)
    assert f"takes {least:,} and {selector.limits['macs'] - found.after['macs']:,} are left" in why


def test_another_limit_that_binds_is_named():
    selector, found = _selector(Budget(macs=0.9, params=0.2), 4)
    assert unused(selector, found)["macs"][1] == "the steps that would fit break `params`"
    assert unused(*_selector(Budget(macs=1.0), 4))["macs"] == (1.0, "nothing is left")


def test_timing_ends_when_it_has_enough_and_knows_the_interval_of_its_median():
    ticks = iter(range(1000))
    [slow] = timed(lambda: None, repeats=30, warmups=0, enough_s=6.0, clock=lambda: float(next(ticks)))
    assert slow.runs == 5
    even = Timing.of([float(x) for x in range(1, 101)])
    assert even.p50_interval_s == pytest.approx((50.5 - 0.098 * 99, 50.5 + 0.098 * 99))
