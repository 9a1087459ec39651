"""Layers with parameters: convolution, linear maps, normalisation, embedding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from linnet.arrays import Ints
from linnet.core.channels.rule_call import Call, rule
from linnet.core.channels.rules.pointwise import meet
from linnet.core.channels.tensor_labels import NOTHING, Factor, Flow
from linnet.core.program.program import Ref


@rule("convolution", "convolution_overrideable", "_convolution")
def convolution(call: Call) -> Flow:
    """A convolution (dense, depthwise or grouped) or a transposed one: it sums over inputs and makes outputs."""
    window = call.window()
    groups, transposed = window.groups, window.transposed
    channels = call.choose("in", lambda: call.shape(0)[1])
    kind = "dense" if groups == 1 else "depthwise" if groups == channels else "whole" if call.walk.whole else "within"
    kind = call.choose("kind", lambda: kind)
    labels = call.labels(0, 1)
    if kind in ("depthwise", "whole") and labels is not None and not _owned(call):
        call.sized()
    passing = _beside(call, one_by_one=window.one_by_one)
    if kind == "dense":
        call.consume(1, 0 if transposed else 1, labels)
        out = call.fresh(1, 1 if transposed else 0)
    elif kind == "depthwise":
        out = _depthwise(call, labels, transposed=transposed)
    elif kind == "whole":
        out = _whole(call, labels, groups, transposed=transposed)
    else:
        out = _within(call, labels, groups, transposed=transposed)
    call.produce(2, 0, out)
    return Flow((*(() if out is None else (Factor((1,), out),)), *passing.factors))


def _owned(call: Call) -> bool:
    """Whether a module follows the weight's sizes by itself (its `groups` is updated with it)."""
    view = call.flow(1).view
    return (
        view is not None
        and call.node.layer.startswith("Conv")
        and view.tensor == f"{call.node.module}.weight".lstrip(".")
    )


def _beside(call: Call, *, one_by_one: bool = True) -> Flow:
    """Labels on other axes than the channel axis: they pass when positions aren't mixed."""
    flow = call.flow(0)
    others = flow.without([1])
    if not one_by_one:
        spatial = range(2, len(call.shape(0)))
        for factor in others.touching(spatial):
            call.freeze(factor.labels.ravel(), "positions along its labelled axis are mixed")
        others = others.without(spatial)
    return others


def _depthwise(call: Call, labels: Ints | None, *, transposed: bool) -> Ints | None:
    out_channels = call.shape(1)[0] if not transposed else call.shape(1)[0] * call.shape(1)[1]
    if labels is None:
        return None
    multiplier = call.choose("multiplier", lambda: out_channels // labels.size)
    if transposed:
        call.produce(1, 0, labels)
    out = labels
    if multiplier > 1:
        out = call.step(labels[:, None], "mul", np.arange(multiplier)[None, :]).ravel()
    if not transposed:
        call.produce(1, 0, out)
    if call.flow(1).view is None:
        call.freeze(labels, "its kernel is computed, not a parameter")
    return out


def _within(call: Call, labels: Ints | None, groups: int, *, transposed: bool) -> Ints | None:
    """Every group keeps the same channels: position i of all groups is one unit."""
    if labels is not None:
        rows = labels.reshape(groups, -1) if labels.size % groups == 0 else _uneven(call, labels, groups)
        call.tie(rows, rows[:1])
        call.consume(1, 0 if transposed else 1, labels if transposed else rows[0])
    made = call.fresh(1, 1 if transposed else 0)
    if made is None:
        return None
    if transposed:
        return call.step(np.tile(made, groups), "cat", np.repeat(np.arange(groups), made.size))
    rows = made.reshape(groups, -1) if made.size % groups == 0 else _uneven(call, made, groups)
    call.tie(rows, rows[:1])
    return made


def _whole(call: Call, labels: Ints | None, groups: int, *, transposed: bool) -> Ints | None:
    """The unit is a group: its inputs and outputs come and go together, and `groups` follows."""
    groups = call.choose("groups", lambda given=groups: given)
    if labels is None:
        return None
    size = call.choose("size", lambda: labels.size // groups)
    rows = labels.reshape(-1, size)
    call.tie(rows, rows[:, :1])
    if transposed:
        call.produce(1, 0, labels)
        count = call.choose("out", lambda: call.shape(1)[1])
        return call.step(np.repeat(rows[:, 0], count), "mul", np.tile(np.arange(count), len(rows)))
    count = call.choose("out", lambda: call.shape(1)[0] // groups)
    out = call.step(np.repeat(rows[:, 0], count), "mul", np.tile(np.arange(count), len(rows)))
    call.produce(1, 0, out)
    return out


def _uneven(call: Call, labels: Ints, groups: int) -> Ints:
    call.mismatch(f"{labels.size} channels can't be shared out to {groups} groups", labels)


@rule("addmm", "addbmm", "baddbmm")
def addmm(call: Call) -> Flow:
    """bias + a @ b: as for the product, and the bias belongs to the channels that it makes."""
    out = product(call, 1, 2)
    if not out:
        if call.flow(0):
            call.freeze(call.flow(0), "it meets a product of fixed size")
        return out
    last = len(call.out_shape()) - 1
    bias = call.flow(0)
    if bias.view is not None:
        for factor in out.factors:
            axis = factor.axes[-1] - last - 1
            if -axis <= len(call.shape(0)) and call.choose(
                ("full", axis), lambda a=axis: call.shape(0)[a] > 1 or last == 0
            ):
                call.produce(0, axis, call.collapse(factor, factor.axes[-1]))
    elif bias:
        call.freeze(bias, "it is added to a product")
        call.freeze(out, "it is added to")
    elif call.choose("sized bias", lambda: max(call.shape(0), default=1) > 1):
        call.freeze(out, "it meets a tensor of fixed size")
    return out


@rule("mm", "bmm", "matmul", "mv")
def matrix_product(call: Call) -> Flow:
    """a @ b for two tensors of equal rank, 2 or 3: the inner axis is summed over, the outer ones pass."""
    return product(call, 0, 1)


def product(call: Call, left: int, right: int) -> Flow:
    """Labels of a matrix product: the parameter is summed over the inner axis and makes the outer one.

    Args:
        call: The operator call.
        left: Argument number of a (..., n, k).
        right: Argument number of b (..., k, m).

    Returns:
        Labels of (..., n, m). The inner axis of two activations freezes both.
    """
    a, b, rank = call.flow(left), call.flow(right), len(call.shape(left))
    inner_b = max(len(call.shape(right)) - 2, 0)
    if b.view is not None and a.view is None:
        call.consume(right, inner_b, call.labels(left, rank - 1))
        made = None if inner_b + 1 >= len(call.shape(right)) else call.fresh(right, inner_b + 1)
        return _outer(call, a.without([rank - 1]), made, rank - 1, right)
    if a.view is not None and b.view is None:
        call.consume(left, rank - 1, call.labels(right, inner_b))
        return _outer(call, b.without([inner_b]), call.fresh(left, rank - 2), rank - 2, left)
    return contracted(call, a, b, rank - 1, inner_b)


def _outer(call: Call, rest: Flow, made: Ints | None, axis: int, weight: int) -> Flow:
    for factor in rest.touching(range(axis - 1) if axis else ()):
        if len(call.shape(weight)) == 3 and call.choose("batched", lambda: call.shape(weight)[0] > 1):
            call.produce(weight, 0, call.collapse(factor, factor.axes[0]))
    own = () if made is None else (Factor((axis,), made),)
    return Flow(tuple(sorted((*rest.factors, *own), key=lambda f: f.axes)))


def contracted(call: Call, a: Flow, b: Flow, inner_a: int, inner_b: int) -> Flow:
    """Two activations multiplied: labels on the summed axis are frozen, the outer ones pass."""
    summed = [*a.touching([inner_a]), *b.touching([inner_b])]
    why = (
        "it is contracted in attention" if len(summed) > 1 else "it is summed over with a tensor that isn't a parameter"
    )
    for factor in summed:
        call.freeze(factor.labels.ravel(), why)
    rank = inner_a + 1
    rows = a.without([inner_a])
    columns = b.without([inner_b])
    factors = list(rows.factors)
    for factor in columns.factors:
        clash = [f for f in factors if set(f.axes) & set(factor.axes)]
        if not clash:
            factors.append(factor)
        elif all(f.axes == factor.axes for f in clash) and factor.axes != (rank - 1,):
            call.tie(clash[0].labels, factor.labels)
        else:
            for known in (*clash, factor):
                call.freeze(known.labels.ravel(), "labels of several axes meet")
            factors = [f for f in factors if f not in clash]
    return Flow(tuple(sorted(factors, key=lambda f: f.axes)))


@rule("_trilinear")
def bilinear(call: Call) -> Flow | None:
    """`nn.Bilinear`: it sums over both inputs and makes new channels."""
    weight = call.flow(1).view
    if weight is None or [call.arg(p) for p in (3, 4, 5, 6)] != [[1, 3], [0], [1, 2], [2, 3]]:
        for position in (0, 1, 2):
            call.freeze(call.flow(position), "it is multiplied")
        return None
    call.consume(1, 1, call.labels(0, 1))
    call.consume(1, 2, call.labels(2, 1))
    out = call.fresh(1, 0)
    return None if out is None else Flow((Factor((1,), out),))


@rule(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "batch_norm",
    "cudnn_batch_norm",
)
def batch_norm(call: Call) -> tuple[Flow, ...]:
    """Scale, shift and running statistics belong to the channels of axis 1, which pass."""
    return (_channel_norm(call, (1, 2, 3, 4)),)


@rule("instance_norm")
def instance_norm(call: Call) -> Flow:
    """As batch norm, but with the statistics of each sample; every multiplicity is fine."""
    return _channel_norm(call, (1, 2, 3, 4))


def _channel_norm(call: Call, tensors: tuple[int, ...]) -> Flow:
    view = call.flow(0).view
    labels = call.labels(0, 1) if view is None or view.axes[1] is None else call.fresh(0, 1)
    for position in tensors:
        if isinstance(call.arg(position), Ref):
            call.produce(position, 0, labels)
    if view is not None:  # a weight is standardised row by row
        alone = tuple(source if axis == 1 else None for axis, source in enumerate(view.axes))
        return Flow(view=replace(view, axes=alone, exact=False)) if any(alone) else NOTHING
    beside = _beside(call, one_by_one=False)
    own = () if labels is None else (Factor((1,), labels),)
    return Flow((*beside.touching([0]), *own))


@rule("native_layer_norm", "layer_norm", "rms_norm", "_fused_rms_norm")
def layer_norm(call: Call) -> tuple[Flow, ...]:
    """It normalises all channels of some axes together, so they need one equal multiplicity."""
    flow, rank = call.flow(0), len(call.shape(0))
    normalised = range(rank - len(call.arg(1)), rank)
    for factor in flow.touching(normalised):
        call.uniform(factor.labels)
        call.sized_unless_owned("RMSNorm" if call.node.name == "rms_norm" else "LayerNorm")
        for axis in factor.axes:
            if axis not in normalised:
                continue
            labels = call.collapse(factor, axis)
            for position in (2, 3) if call.node.name != "rms_norm" else (2,):
                if isinstance(call.arg(position), Ref):
                    call.produce(position, axis - rank, labels)
    return (flow,)


@rule("native_group_norm", "group_norm")
def group_norm(call: Call) -> tuple[Flow, ...]:
    """It normalises the channels of a group together; copies stay inside their group."""
    native = call.node.name == "native_group_norm"
    groups = call.arg(6) if native else call.arg(1)
    labels = call.labels(0, 1)
    for position in (1, 2) if native else (2, 3):
        if isinstance(call.arg(position), Ref):
            call.produce(position, 0, labels)
    if labels is None:
        return (_beside(call, one_by_one=False),)
    if call.walk.norm_groups and groups > 1 and call.node.layer == "GroupNorm":
        size = call.choose("size", lambda: labels.size // groups)
        if labels.size % size:
            call.mismatch(f"{labels.size} channels don't make whole groups of {size}", labels)
        rows = labels.reshape(-1, size)
        call.tie(rows, rows[:, :1])
    else:
        call.uniform(labels, groups)
    beside = _beside(call, one_by_one=False)
    return (Flow((*beside.factors, Factor((1,), labels))),)


@rule("embedding_renorm")
def embedding_renorm(call: Call) -> Flow:
    """`max_norm` shortens whole rows of the table, so its columns can't be told apart."""
    call.freeze(_made(call.fresh(0, 1)), "its rows are shortened to `max_norm`")
    return call.flow(0)


def _made(labels: Ints | None) -> Ints:
    return np.zeros(0, dtype=np.int64) if labels is None else labels


@rule("embedding")
def embedding(call: Call) -> Flow | None:
    """The weight's columns make channels; the vocabulary fixes the number of its rows."""
    made = call.fresh(0, 1)
    rank = len(call.out_shape())
    call.freeze(call.flow(1), "it is an index")
    return None if made is None else Flow((Factor((rank - 1,), made),))


@rule("_embedding_bag", "_embedding_bag_forward_only", "embedding_bag")
def embedding_bag(call: Call) -> tuple[Flow, ...]:
    """As embedding, summed over bags."""
    made = call.fresh(0, 1)
    return () if made is None else (Flow((Factor((1,), made),)),)


@rule("_weight_norm_interface")
def computed_weight(call: Call) -> None:
    """It computes a weight from other parameters; the result no longer shows which channels a parameter holds."""
    return


@rule("linear")
def linear(call: Call) -> Flow:
    """x @ weight.T + bias: inputs are summed over, outputs are made."""
    last = len(call.shape(0)) - 1
    call.consume(1, 1, call.labels(0, last))
    made = call.fresh(1, 0)
    if isinstance(call.arg(2), Ref):
        call.produce(2, 0, made)
    own = () if made is None else (Factor((last,), made),)
    return Flow((*call.flow(0).without([last]).factors, *own))


@rule("addcmul", "addcdiv")
def fused(call: Call) -> Flow:
    """a + value * b * c (or b / c): channels that meet are tied."""
    return meet(call, call.refs())
