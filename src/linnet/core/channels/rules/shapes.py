"""Operators that only move elements: views, permutations, expansions, pixel shuffles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from linnet.arrays import Ints
from linnet.core.channels.rule_call import Call, rule
from linnet.core.channels.tensor_labels import NOTHING, Factor, Flow, View, permuted_view


@dataclass(frozen=True)
class Group:
    """Axes of a reshape that hold the same elements: `inside` before, `outside` after."""

    inside: tuple[int, ...]
    outside: tuple[int, ...]


def groups(before: Sequence[int], after: Sequence[int]) -> list[Group]:
    """The smallest groups of axes with equal products, left to right.

    Args:
        before: Sizes before the reshape.
        after: Sizes after it.

    Returns:
        Groups in order; (1, C, H, W) -> (1, C*H*W) gives (0 | 0) and (1, 2, 3 | 1).
    """
    found: list[Group] = []
    i = j = 0
    while i < len(before) and j < len(after):
        first_i, first_j = i, j
        left, right = before[first_i], after[first_j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1
        found.append(Group(tuple(range(first_i, i)), tuple(range(first_j, j))))
    if i < len(before) and found:
        last = found.pop()
        found.append(Group(last.inside + tuple(range(i, len(before))), last.outside))
    return found


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "unflatten", "flatten", "view_copy", "_reshape_copy")
def view(call: Call) -> Flow:
    """It merges and splits axes: a merged channel has several positions; a split one stays on the axis that grows."""
    flow = call.flow(0)
    if flow.view is not None:
        return _view_of_parameter(call, flow.view)
    parts = call.choose("groups", lambda: groups(call.shape(0), call.out_shape()))
    for number, group in enumerate(parts):
        flow = _regroup(call, flow, number, group)
    to = {_inner(axis): axis for axis in range(len(call.out_shape()))}
    return flow.renamed(to)


def _inner(axis: int) -> int:
    """Output axes get negative numbers while groups are still being worked on."""
    return -1 - axis


def _regroup(call: Call, flow: Flow, number: int, group: Group) -> Flow:
    touching = flow.touching(group.inside)
    if not touching:
        return flow
    rest = tuple(f for f in flow.factors if f not in touching)
    factor, *more = touching
    if more:
        for known in touching:
            call.freeze(known.labels.ravel(), "labels of several axes are merged")
        return Flow(rest)
    shape = call.shape(0)
    inside = tuple(axis for axis in group.inside if axis in factor.axes or shape[axis] > 1)
    merged = _with_positions(call, factor, inside, shape)
    sizes = _out_sizes(call, number, group, merged, len(inside))
    if sizes is None:
        call.freeze(factor.labels.ravel(), "an axis of channels is dropped")
        return Flow(rest)
    outside, lengths = sizes
    others = merged.axes[: len(merged.axes) - len(inside)]
    labels = merged.labels.reshape(*merged.labels.shape[: len(others)], *lengths)
    made = Factor((*others, *(_inner(a) for a in outside)), labels)
    return Flow((*rest, _decided(call, made, number, outside)))


def _with_positions(call: Call, factor: Factor, inside: Sequence[int], shape: Sequence[int]) -> Factor:
    """The factor over (its other axes, all axes of the group), new axes counted by `pos`."""
    others = tuple(axis for axis in factor.axes if axis not in inside)
    own = tuple(axis for axis in inside if axis in factor.axes)
    new = tuple(axis for axis in inside if axis not in factor.axes)
    labels = factor.labels.transpose([factor.axes.index(axis) for axis in (*others, *own)])
    if new:
        counts = np.arange(math.prod(shape[axis] for axis in new), dtype=np.int64).reshape(
            [shape[axis] for axis in new]
        )
        labels = call.step(labels.reshape(*labels.shape, *(1 for _ in new)), "pos", counts)
        order = [*range(len(others)), *(len(others) + (*own, *new).index(axis) for axis in inside)]
        labels = labels.transpose(order)
    return Factor((*others, *inside), labels)


def _out_sizes(
    call: Call, number: int, group: Group, merged: Factor, count: int
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Output axes that hold the labels and their sizes; axes of size 1 beside them stay unlabelled."""
    recorded = call.out_shape()
    total = math.prod(merged.labels.shape[len(merged.labels.shape) - count :])

    def decide() -> tuple[int, ...]:
        wide = tuple(axis for axis in group.outside if recorded[axis] > 1)
        return wide or group.outside[-1:]

    outside = call.choose(("out", number), decide)
    if not outside:
        return None
    if len(outside) == 1:
        return outside, (total,)
    lengths = [recorded[axis] for axis in outside]
    if math.prod(lengths) != total:
        grown = call.walk.grows.get((call.node.index, number))
        if grown is None:
            call.mismatch(f"{total} channels don't fit into sizes {tuple(lengths)}", merged.labels)
        place = outside.index(grown)
        lengths[place] = total // (math.prod(lengths) // lengths[place])
    return outside, tuple(lengths)


def _decided(call: Call, factor: Factor, number: int, outside: Sequence[int]) -> Factor:
    """A channel axis that was split into several: only the axis that grows stays labelled."""
    if len(outside) == 1:
        return factor
    grown = call.walk.grows.get((call.node.index, number))
    axes = tuple(_inner(a) for a in outside)
    if grown is None:
        if call.walk.first is None:
            call.walk.undecided.append((call.node, number, factor.labels.ravel(), tuple(outside)))
        return factor
    place = factor.axes.index(_inner(grown))
    others = [i for i, axis in enumerate(factor.axes) if axis not in axes]
    tied = [i for i, axis in enumerate(factor.axes) if axis in axes and i != place]
    labels = factor.labels.transpose([*others, place, *tied])
    shape = labels.shape[: len(others) + 1]
    joined = call.join(labels.reshape(math.prod(shape), -1)).reshape(shape)
    return Factor((*(factor.axes[i] for i in others), factor.axes[place]), joined)


def _view_of_parameter(call: Call, known: View) -> Flow:
    """Axes that stand alone in their group, apart from axes of size 1, are kept; merged ones are lost."""
    before, after = call.shape(0), call.out_shape()
    axes: list = [None] * len(after)
    merged = False
    for group in call.choose("groups", lambda: groups(before, after)):
        inside = call.choose(("wide in", group), lambda g=group: [a for a in g.inside if before[a] > 1])
        outside = call.choose(("wide out", group), lambda g=group: [a for a in g.outside if after[a] > 1])
        if not inside and not outside and len(group.inside) == len(group.outside):
            inside, outside = group.inside, group.outside
        if len(inside) == len(outside) == 1:
            axes[outside[0]] = known.axes[inside[0]]
        elif inside:
            merged = True
    if merged and not any(source is not None and source.axis == 0 for source in axes):
        return NOTHING  # of merged axes, only its rows are of use: a weight is standardised by them
    return Flow(view=replace(known, axes=tuple(axes), exact=known.exact and not merged))


@rule("as_strided")
def as_strided(call: Call) -> Flow | None:
    """It changes strides alone, as after pooling of channels-last tensors; every element stays where it is."""
    pooled = call.node.caller.startswith("adaptive_avg_pool")
    if call.choose("still", lambda: pooled and call.shape(0) == tuple(call.arg(1))):
        return call.flow(0)
    return call.refuse_unless_frozen(call.flow(0).all_labels(), "lays elements out anew")


@rule("permute")
def permute(call: Call) -> Flow:
    """It reorders axes."""
    rank = len(call.shape(0))
    return _permuted(call.flow(0), [axis % rank for axis in call.arg(1)])


@rule("transpose", "swapaxes")
def transpose(call: Call) -> Flow:
    """It exchanges two axes."""
    rank = len(call.shape(0))
    order = list(range(rank))
    a, b = call.arg(1) % rank, call.arg(2) % rank
    order[a], order[b] = order[b], order[a]
    return _permuted(call.flow(0), order)


@rule("t", "numpy_T")
def matrix_transpose(call: Call) -> Flow:
    """It exchanges rows and columns."""
    return _permuted(call.flow(0), list(reversed(range(len(call.shape(0))))))


def _permuted(flow: Flow, order: Sequence[int]) -> Flow:
    if flow.view is not None:
        return Flow(view=permuted_view(flow.view, order))
    return flow.renamed({old: new for new, old in enumerate(order)})


@rule("unsqueeze")
def unsqueeze(call: Call) -> Flow:
    """It adds an axis of size 1."""
    rank = len(call.shape(0)) + 1
    new = call.arg(1) % rank
    flow = call.flow(0)
    if flow.view is not None:
        axes = flow.view.axes
        return Flow(view=replace(flow.view, axes=(*axes[:new], None, *axes[new:])))
    return flow.renamed({axis: axis + (axis >= new) for axis in range(rank - 1)})


@rule("squeeze")
def squeeze(call: Call) -> Flow:
    """It removes axes of size 1."""
    shape = call.shape(0)
    given = call.arg(1)
    asked = range(len(shape)) if given is None else [given] if isinstance(given, int) else given
    dropped = call.choose("dropped", lambda: [a % len(shape) for a in asked if shape[a] == 1])
    flow = call.flow(0)
    kept = [axis for axis in range(len(shape)) if axis not in dropped]
    if flow.view is not None:
        return Flow(view=permuted_view(flow.view, kept))
    for factor in flow.touching(dropped):
        call.freeze(factor.labels.ravel(), "its one channel is squeezed away")
    return flow.renamed({old: new for new, old in enumerate(kept)})


@rule("expand", "expand_copy", "broadcast_to")
def expand(call: Call) -> Flow:
    """It repeats axes of size 1 without copying."""
    shape, sizes = call.shape(0), call.arg(1)
    new = len(sizes) - len(shape)
    recorded = call.out_shape()
    grown = call.choose("grown", lambda: [a for a in range(len(shape)) if shape[a] == 1 and recorded[a + new] > 1])
    flow = call.flow(0)
    if flow.view is not None:
        axes = [None if axis in grown else source for axis, source in enumerate(flow.view.axes)]
        return Flow(view=replace(flow.view, axes=(*(None for _ in range(new)), *axes)))
    for factor in flow.touching(grown):
        call.freeze(factor.labels.ravel(), "its one channel is expanded to many")
    return flow.without(grown).renamed({axis: axis + new for axis in range(len(shape))})


@rule("repeat")
def repeat(call: Call) -> Flow:
    """It repeats the whole tensor along its axes."""
    shape, counts = call.shape(0), call.arg(1)
    new = len(counts) - len(shape)
    flow = call.flow(0)
    if flow.view is not None:
        many = [axis for axis in range(len(shape)) if counts[axis + new] > 1]
        if any(
            flow.view.axes[axis] is not None and call.choose(("wide", axis), lambda a=axis: shape[a] > 1)
            for axis in many
        ):
            return NOTHING
        axes = [None if axis in many else source for axis, source in enumerate(flow.view.axes)]
        return Flow(view=replace(flow.view, axes=(*(None for _ in range(new)), *axes)))
    factors = []
    for factor in flow.factors:
        labels = factor.labels
        for place, axis in enumerate(factor.axes):
            times = counts[axis + new]
            if times > 1:
                shape_of = [-1 if p == place else 1 for p in range(labels.ndim)]
                part = np.repeat(np.arange(times), labels.shape[place]).reshape(shape_of)
                labels = call.step(np.concatenate([labels] * times, axis=place), "cat", part)
        factors.append(Factor(tuple(axis + new for axis in factor.axes), labels))
    return Flow(tuple(factors))


@rule("pixel_shuffle")
def pixel_shuffle(call: Call) -> Flow:
    """(C r^2, H, W) -> (C, H r, W r): each run of r^2 positions is one channel of an edit."""
    axis = len(call.shape(0)) - 3
    return _onto_axis(call, axis, _runs(call, axis, call.arg(1) ** 2))


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Flow:
    """(C, H r, W r) -> (C r^2, H, W): each channel gives a run of r^2."""
    axis = len(call.shape(0)) - 3
    labels, count = call.labels(0, axis), call.arg(1) ** 2
    if labels is None:
        return _onto_axis(call, axis, None)
    return _onto_axis(call, axis, call.step(labels[:, None], "mul", np.arange(count)[None]).ravel())


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call) -> Flow:
    """Position (group g, i) goes to (i, g): position i of all groups is one channel of an edit."""
    labels, count = call.labels(0, 1), call.arg(1)
    if labels is None:
        return _onto_axis(call, 1, None)
    if labels.size % count:
        call.mismatch(f"{labels.size} channels can't be shared out to {count} groups", labels)
    joined = call.join(labels.reshape(count, -1).T)
    return _onto_axis(call, 1, call.step(joined[:, None], "pos", np.arange(count)[None]).ravel())


def _runs(call: Call, axis: int, count: int) -> Ints | None:
    labels = call.labels(0, axis)
    if labels is None:
        return None
    if labels.size % count:
        call.mismatch(f"{labels.size} channels don't fall into runs of {count}", labels)
    return call.join(labels.reshape(-1, count))


def _onto_axis(call: Call, axis: int, labels: Ints | None) -> Flow:
    """Labels of one axis replaced; labels of the moved positions behind it are frozen."""
    flow = call.flow(0)
    for factor in flow.without([axis]).touching(range(axis + 1, len(call.shape(0)))):
        call.freeze(factor.labels.ravel(), "positions along its labelled axis are mixed")
    rest = flow.without(range(axis, len(call.shape(0)))).factors
    return Flow((*rest, *(() if labels is None else (Factor((axis,), labels),))))


@rule("im2col")
def im2col(call: Call) -> Flow:
    """`F.unfold`: (C, H, W) -> (C K, positions): each channel gives a run of K."""
    count = math.prod(call.arg(1))
    labels = call.labels(0, 1)
    flow = _onto_axis(call, 1, labels)
    if labels is None:
        return flow
    wide = call.step(labels[:, None], "pos", np.arange(count)[None]).ravel()
    return Flow((*flow.touching([0]), Factor((1,), wide)))


@rule("col2im")
def col2im(call: Call) -> Flow:
    """`F.fold`: (C K, positions) -> (C, H, W): each run of K positions is one channel of an edit."""
    return _onto_axis(call, 1, _runs(call, 1, math.prod(call.arg(2))))
