"""Operators that sum up or mix positions of axes: fine beside the channel axis, freezing along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from linnet.core.channels.rule_call import Call, rule
from linnet.core.channels.tensor_labels import NOTHING, Factor, Flow, View
from linnet.core.program.operators import operator_of, operators_with

LAST = ("sort", "argsort", "topk", "kthvalue")  # the last axis, when none is given


def _asked(call: Call, position: int) -> list[int]:
    rank = len(call.shape(0))
    given = call.arg(position, "dim")
    if call.node.name in ("max", "min", "median", "sum", "mean", "prod", "any", "all") and isinstance(given, bool):
        given = None
    if given is None and call.node.name in LAST:
        given = -1
    axes = range(rank) if given is None or given == [] else [given] if isinstance(given, int) else given
    return sorted({axis % rank for axis in axes})


@rule(*operators_with("reduces"))
def reduce(call: Call) -> tuple[Flow, ...]:
    """It sums over axes (or takes their maximum, norm ...), which vanish; a channel axis among them is frozen."""
    return _reduced(call, _asked(call, operator_of(call.node).reduces or 1))


@rule("max", "min")
def extreme(call: Call) -> tuple[Flow, ...]:
    """`x.max(dim)`; `torch.max(a, b)` arrives as `maximum`."""
    return _reduced(call, _asked(call, 1))


def _reduced(call: Call, axes: Sequence[int]) -> tuple[Flow, ...]:
    flow, rank = call.flow(0), len(call.shape(0))
    if flow.view is not None:
        return (_view_without(call, flow.view, axes),) * len(call.node.outputs)
    kept, lost = _beside(call, axes)
    for factor in lost:
        call.freeze(factor.labels.ravel(), f"its channels are taken together ({call.node.name})")
    if len(call.out_shape()) != rank:
        order = [axis for axis in range(rank) if axis not in axes]
        kept = kept.renamed({old: new for new, old in enumerate(order)})
    return (kept,) * len(call.node.outputs)


def _view_without(call: Call, view: View, axes: Sequence[int]) -> Flow:
    """One number of each row of a parameter (its mean, say): the other axes go on."""
    left = [None if axis in axes else source for axis, source in enumerate(view.axes)]
    if len(call.out_shape()) != len(left):
        left = [source for axis, source in enumerate(left) if axis not in axes]
    return Flow(view=replace(view, axes=tuple(left), exact=False)) if any(left) else NOTHING


def _beside(call: Call, axes: Sequence[int]) -> tuple[Flow, list[Factor]]:
    """Labels on other axes than these, and the factors that have no other."""
    kept, lost = Flow(), []
    for factor in call.flow(0).factors:
        left = [axis for axis in factor.axes if axis not in axes]
        if len(left) == len(factor.axes):
            kept = Flow((*kept.factors, factor))
        elif len(left) == 1:
            kept = Flow((*kept.factors, Factor((left[0],), call.collapse(factor, left[0]))))
        else:
            lost.append(factor)
    return kept, lost


@rule(*operators_with("along"))
def along(call: Call) -> tuple[Flow, ...]:
    """It keeps all sizes, but each position of an axis depends on the others."""
    axes = _asked(call, operator_of(call.node).along or 1)
    flow = call.flow(0)
    if flow.view is not None:
        return (NOTHING,)
    for factor in flow.touching(axes):
        call.freeze(factor.labels.ravel(), f"its channels are taken together ({call.node.name})")
    return (flow.without(axes),) * len(call.node.outputs)


@rule(*operators_with("mixes"))
def spatial(call: Call) -> tuple[Flow, ...]:
    """It pools, resizes or pads: positions of the last axes are mixed, the channel axis passes."""
    return _mixed(call, operator_of(call.node).mixes or 0)


def _mixed(call: Call, count: int) -> tuple[Flow, ...]:
    rank, flow = len(call.shape(0)), call.flow(0)
    if flow.view is not None:
        return (NOTHING,)
    axes = range(rank - count, rank)
    if call.node.name.startswith("grid_sampler"):
        call.freeze(call.flow(1), "it is a sampling grid")
    kept, lost = _beside(call, axes)
    for factor in lost:
        call.freeze(factor.labels.ravel(), f"positions along its labelled axis are mixed ({call.node.name})")
    return (kept,) * len(call.node.outputs)


@rule("_pad_circular")
def pad_circular(call: Call) -> tuple[Flow, ...]:
    """It repeats positions of the last axes around the border; the channel axis passes."""
    return _mixed(call, len(call.arg(1)) // 2)


@rule("glu")
def glu(call: Call) -> Flow:
    """One half of the channels gates the other: position i of both halves is one channel."""
    rank = len(call.shape(0))
    axis = call.arg(1, "dim", -1) % rank
    labels = call.labels(0, axis)
    rest = call.flow(0).without([axis])
    if labels is None:
        return rest
    if labels.size % 2:
        call.mismatch(f"{labels.size} channels can't be halved", labels)
    joined = call.join(labels.reshape(2, -1).T)
    return Flow((*rest.factors, Factor((axis,), joined)))
