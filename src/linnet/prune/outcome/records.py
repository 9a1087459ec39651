"""Outcome: a pruned network beside the given one, as records."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from linnet.core import ChannelGraph, Cost
from linnet.core.channels.width_cost import TOTALS, WidthCost
from linnet.core.edit.proof import redrawn
from linnet.core.program.example import example_from_dict
from linnet.core.program.module_copy import rebuild
from linnet.engine.compute.timing import Latency, timed
from linnet.engine.onnx.model import still
from linnet.engine.onnx.runtime import network_call
from linnet.prune.allocate.ranks import LayerRanks, by_rank
from linnet.prune.allocate.widths import Selector
from linnet.prune.pruning_plan import Plan
from linnet.results import Record
from linnet.results.quality import quality_records

GIVEN, SMALL, NARROW = "dense", "pruned", "narrow by rank"
"""`method` of the records: the network that was given, the one that came out, and one to compare it with."""

_ENOUGH_S = 3.0  # of timing; large networks get fewer than 30 runs
_UNITS = {"bytes": "B", "peak_activation_bytes": "B"}


def pruning_records(
    plan: Plan,
    small: nn.Module,
    graph: ChannelGraph,
    selector: Selector,
    shell: nn.Module,
    *,
    steps: int,
    changes: int,
    skipped: int,
    eval_loader: Iterable[Any] | None = None,
    dense: nn.Module | None = None,
) -> tuple[Record, ...]:
    """All records of a pruned network.

    Costs, channels and MACs of each layer, and measured milliseconds stand for both networks; the given one is timed
    with drawn weights unless it is there, trained. What the limits left unused comes with the reason. Accuracy, per
    class too, likelihood and calibration are there with a loader only, for the given network with `dense` only.

    Args:
        plan: What stayed.
        small: The pruned network, with its `linnet_edit`.
        graph: The given network's graph.
        selector: Width allocation of the plan.
        shell: The given network without weights, on the meta device.
        steps: Steps of the training so far.
        changes: Channels whose mask changed, over all updates of the mask.
        skipped: Measurements that weren't finite.
        eval_loader: Batches (inputs, labels) of a classifier.
        dense: The given network trained without pruning.
    """
    found = [
        Record.measured(name, float(cost[name]), unit=_UNITS.get(name, ""), method=method)
        for name in TOTALS
        for method, cost in ((GIVEN, plan.before), (SMALL, plan.after))
    ]
    found += _of_layers(plan, graph)
    found += _of_the_training(plan, small, selector, {"mask changes": changes, "skipped measurements": skipped}, steps)
    found += _narrow_by_rank(plan, graph, selector)
    found += _milliseconds(small, dense if dense is not None else rebuild(shell, redrawn), graph)
    if eval_loader is not None:
        networks = {SMALL: small} | ({} if dense is None else {GIVEN: dense})
        found += quality_records(networks, eval_loader)
    return tuple(found)


def latency_records(latency: Latency | None) -> tuple[Record, ...]:
    """The measured milliseconds of both networks beside the target; none where the budget has none."""
    if latency is None:
        return ()
    context = {"target_ms": latency.target_ms, "runtime": latency.runtime, "threads": latency.threads}
    context |= {"samples": latency.batch, "p50_ms": latency.p50_ms, "p95_ms": latency.p95_ms}
    facts = {"unit": "ms", "n": latency.runs}
    return (
        Record.measured("latency ms", latency.before_ms, method=GIVEN, **facts),
        Record.measured("latency ms", latency.after_ms, method=SMALL, context=context, **facts),
    )


def _of_layers(plan: Plan, graph: ChannelGraph) -> list[Record]:
    """Channels of each class, and the MACs of the layers that make them: these add up to the whole."""
    before, after = graph.cost(), graph.cost(plan.multiplicity())
    makers: dict[str, str] = {}
    for name, known in graph.classes.items():
        for slot in known.slots:
            if slot.role == "produce":
                makers.setdefault(slot.tensor.rpartition(".")[0], name)
    found = []
    for name, width in plan.dense.items():
        modules = [module for module, own in makers.items() if own == name]
        if not modules:
            continue  # the input
        context = {"layer": name} | ({"whole because": plan.frozen[name]} if name in plan.frozen else {})
        kept = len(plan.kept.get(name, range(width)))
        for method, channels, cost in ((GIVEN, width, before), (SMALL, kept, after)):
            found.append(Record.measured("channels of layer", channels, method=method, context=context))
            found.append(Record.measured("macs of layer", _made(cost, modules), method=method, context={"layer": name}))
    return found


def _made(cost: Cost, modules: list[str]) -> int:
    return sum(cost.by_module[module].macs for module in modules if module in cost.by_module)


def _of_the_training(
    plan: Plan, small: nn.Module, selector: Selector, counts: dict[str, int], steps: int
) -> list[Record]:
    edit: Any = small.linnet_edit
    error = edit.error if edit is not None and math.isfinite(edit.error) else None
    found = [Record.measured("proof error", error, method=SMALL)]
    found += [Record.measured(name, count, method=SMALL, context={"steps": steps}) for name, count in counts.items()]
    for limit, (share, why) in unused(selector, plan).items():
        context = {"limit": limit, "at most": selector.limits[limit], "the rest": why}
        found.append(Record.measured("budget used", share, method=SMALL, context=context))
    return found


def _narrow_by_rank(plan: Plan, graph: ChannelGraph, selector: Selector) -> list[Record]:
    """The narrow network of the same cost whose widths the ranks of its layers decide: the rival to train instead."""
    limits = {name: plan.after[name] for name in selector.limits if name in plan.after}
    if not limits or not all(plan.kept):
        return []
    own = Selector(WidthCost(graph), selector.free, limits)
    widths = by_rank(own, LayerRanks.of(graph, selector.free), [np.ones(group.size) for group in selector.free]).widths
    channels = {name: int(w) for group, w in zip(selector.free, widths, strict=True) for name in group.classes}
    spent = own.totals(np.array(widths))[0]
    context = {"widths": channels, "how": "plan(model, example, budget, shape='rank'), trained from scratch"}
    columns = own.law.columns
    cost = {name: float(spent[columns.index(name)]) for name in limits}
    return [
        Record.measured(f"{name} of the narrow network", value, method=NARROW, context=context)
        for name, value in cost.items()
    ]


def _milliseconds(small: nn.Module, dense: nn.Module, graph: ChannelGraph) -> list[Record]:
    """p50 and p95 of one sample's forward pass by torch on one CPU thread, both networks in turns."""
    samples = graph.program.samples
    given = example_from_dict(graph.example)
    with torch.random.fork_rng(devices=[]):  # inputs are drawn; what the caller draws next is as if they weren't
        calls = [network_call(still(net), given, "torch", batch=samples, threads=1) for net in (dense, small)]
    found = []
    for method, timing in zip((GIVEN, SMALL), timed(*calls, threads=1, enough_s=_ENOUGH_S), strict=True):
        context = {"runtime": "torch", "threads": 1, "samples": samples}
        facts = {"unit": "ms", "n": timing.runs, "method": method, "context": context}
        low, high = timing.p50_interval_s
        found.append(
            Record.measured("ms p50", timing.p50_s * 1e3, interval=(low * 1e3, high * 1e3), level=0.95, **facts)
        )
        found.append(Record.measured("ms p95", timing.p95_s * 1e3, **facts))
    return found


def unused(selector: Selector, plan: Plan) -> dict[str, tuple[float, str]]:
    """For each limit the share of it that a plan costs, and why the rest wasn't used.

    Args:
        selector: Width allocation of the plan.
        plan: What stays.

    Returns:
        Name of the limit -> (share, reason).
    """
    widths = np.array([len(plan.kept[group.classes[0]]) for group in selector.free], dtype=np.int64)
    spent, columns = selector.totals(widths)[0], selector.law.columns
    wider, names = [], []
    for row, group in enumerate(selector.free):
        more = next((width for width in group.widths if width > widths[row]), None)
        if more is not None:
            wider.append(np.where(np.arange(len(widths)) == row, more, widths))
            names.append(f"`{group.classes[0]}` from {widths[row]} to {more} channels")
    extra = selector.totals(np.array(wider)) - spent if wider else np.zeros((0, len(columns)), dtype=np.int64)
    left = {limit: most - int(spent[columns.index(limit)]) for limit, most in selector.limits.items()}
    return {
        limit: (int(spent[columns.index(limit)]) / most, _reason(limit, extra, names, left, columns))
        for limit, most in selector.limits.items()
    }


def _reason(limit: str, extra: np.ndarray, names: list[str], left: dict[str, int], columns: tuple[str, ...]) -> str:
    if not left[limit]:
        return "nothing is left"
    if not names:
        return "every class is as wide as it may be"
    fits = np.all([extra[:, columns.index(other)] <= room for other, room in left.items()], axis=0)
    if fits.any():
        return f"{names[int(np.argmax(fits))]} would fit"
    own = extra[:, columns.index(limit)]
    if own.min() > left[limit]:
        least = int(np.argmin(own))
        return f"the smallest step, {names[least]}, takes {own[least]:,} and {left[limit]:,} are left"
    breaks = [
        other for other, room in left.items() if bool((extra[own <= left[limit], columns.index(other)] > room).any())
    ]
    return f"the steps that would fit break {' or '.join(f'`{other}`' for other in breaks if other != limit)}"
