"""Operators that pick, cut and join along axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from linnet.arrays import Ints
from linnet.core.channels.rule_call import Call, rule
from linnet.core.channels.rules.pointwise import meet
from linnet.core.channels.tensor_labels import NOTHING, Factor, Flow, take, taken_view
from linnet.core.program.program import Ref


@rule("slice", "narrow", "slice_copy")
def cut(call: Call) -> Flow:
    """It keeps every step-th position from start to end, and their channels."""
    axis, size = _axis(call, 1)
    start, end, step = call.arg(2), call.arg(3), call.arg(4, default=1)
    if call.node.name == "narrow":
        start, end = call.arg(2), call.arg(2) + call.arg(3)
    picked = np.arange(size)[slice(start, end, step)]
    return pick(call, axis, picked)


@rule(
    "split",
    "split_with_sizes",
    "unsafe_split",
    "unsafe_split_with_sizes",
    "split_copy",
    "split_with_sizes_copy",
    "chunk",
    "unsafe_chunk",
)
def split(call: Call) -> tuple[Flow, ...]:
    """It cuts an axis into consecutive parts; each part keeps its channels."""
    axis, size = _axis(call, 2)
    sizes = [call.walk.program.shape(value)[axis] for value in call.node.outputs]
    if sum(sizes) != size:
        call.mismatch(f"parts of {sizes} don't make {size} channels", _stake(call, axis))
    labels = call.flow(0).on(axis)
    if labels is not None:
        call.cut(labels.labels)
    ends = np.cumsum(sizes)
    return tuple(pick(call, axis, np.arange(end - n, end)) for n, end in zip(sizes, ends, strict=True))


@rule("select", "select_copy")
def select(call: Call) -> Flow:
    """It picks one position, so that the axis vanishes."""
    axis, size = _axis(call, 1)
    return _without_axis(call, axis, call.arg(2) % size)


@rule("unbind", "unbind_copy")
def unbind(call: Call) -> tuple[Flow, ...]:
    """It gives each position of an axis as a separate tensor."""
    axis, _ = _axis(call, 1)
    return tuple(_without_axis(call, axis, place) for place in range(len(call.node.outputs)))


def _without_axis(call: Call, axis: int, place: int) -> Flow:
    rank = len(call.shape(0))
    to = {a: a - (a > axis) for a in range(rank) if a != axis}
    flow = call.flow(0)
    if flow.view is not None:
        view = flow.view
        return Flow(view=replace(view, axes=view.axes[:axis] + view.axes[axis + 1 :], exact=view.exact))
    factors = []
    for factor in flow.factors:
        if axis not in factor.axes:
            factors.append(factor)
        elif len(factor.axes) == 1:
            call.freeze(factor.labels.ravel(), "one channel is picked by its number")
        else:
            at = factor.axes.index(axis)
            rest = tuple(a for a in factor.axes if a != axis)
            factors.append(Factor(rest, np.take(factor.labels, place, axis=at)))
    return Flow(tuple(factors)).renamed(to)


@rule("index_select")
def index_select(call: Call) -> Flow:
    """It picks positions by a table."""
    axis, _ = _axis(call, 1)
    table = call.table(2)
    if call.flow(0).on(axis) is None and call.flow(0).view is None:
        return call.flow(0)
    return _by_table(call, axis, table)


@rule("index", "_unsafe_index")
def index(call: Call) -> Flow | None:
    """It picks positions of one axis by a table; several tables at once may index only axes without channels."""
    given = call.arg(1)
    used = [axis for axis, item in enumerate(given) if item is not None]
    flow = call.flow(0)
    if len(used) != 1 or not isinstance(given[used[0]], Ref):
        if flow.view is not None:
            return NOTHING
        call.refuse_unless_frozen(flow.all_labels(), "indexes several axes at once")
        return None
    axis, table = used[0], call.table_of(given[used[0]])
    width = len(call.walk.shape(given[used[0]].value))
    if width == 1:
        untouched = flow.view is None and flow.on(axis) is None
        return flow if untouched else _by_table(call, axis, table)
    if flow.view is not None:
        axes = flow.view.axes
        return Flow(view=replace(flow.view, axes=(*axes[:axis], *(None,) * width, *axes[axis + 1 :])))
    for factor in flow.touching([axis]):
        call.freeze(factor.labels.ravel(), "it is indexed by a table of several axes")
    rank = len(call.shape(0))
    return flow.without([axis]).renamed({a: a + (width - 1) * (a > axis) for a in range(rank) if a != axis})


def _by_table(call: Call, axis: int, table: Ints | None) -> Flow:
    flow = call.flow(0)
    if table is None:
        for factor in flow.touching([axis]):
            call.freeze(factor.labels.ravel(), "it is indexed by numbers that aren't known")
        if flow.view is not None:
            return NOTHING
        return flow.without([axis])
    return pick(call, axis, table % call.shape(0)[axis])


@rule("flip")
def flip(call: Call) -> Flow:
    """It reverses axes; the channels go with their positions."""
    rank = len(call.shape(0))
    flow = call.flow(0)
    for axis in call.arg(1):
        size = call.shape(0)[axis]
        flow = pick(call, axis % rank, np.arange(size)[::-1], flow, sized=False)
    return flow


@rule("roll")
def roll(call: Call) -> Flow:
    """It shifts axes in a circle; channels are shifted by a fixed number of them."""
    rank, flow = len(call.shape(0)), call.flow(0)
    for shift, axis in zip(call.arg(1), call.arg(2, default=()), strict=False):
        size = call.shape(0)[axis]
        flow = pick(call, axis % rank, (np.arange(size) - shift) % size, flow)
    if not call.arg(2, default=()):
        call.freeze(flow, "it is rolled across all axes")
        return NOTHING
    return flow


def pick(call: Call, axis: int, picked: Ints, flow: Flow | None = None, *, sized: bool = True) -> Flow:
    """Labels after keeping some positions of an axis; a position kept twice is told apart."""
    flow = call.flow(0) if flow is None else flow
    size = call.shape(0)[axis]
    whole = picked.size == size and (picked == np.arange(size)).all()
    if whole and not call.choose(("part", axis, sized), lambda: not whole):
        return flow
    call.choose(("part", axis, sized), lambda: True)
    if flow.view is not None:
        return Flow(view=taken_view(flow.view, axis, picked))
    factor = flow.on(axis)
    if factor is None:
        return flow
    if sized:
        call.sized()
        call.cut(factor.labels)
    part = take(factor, axis, picked)
    times = _occurrence(picked)
    if times.any():
        shape = [-1 if a == axis else 1 for a in part.axes]
        part = Factor(part.axes, call.step(part.labels, "cat", times.reshape(shape)))
    return Flow(tuple(part if f is factor else f for f in flow.factors))


def _occurrence(picked: Ints) -> Ints:
    """0 for the first time a position is picked, 1 for the second ..."""
    order = np.argsort(picked, kind="stable")
    ordered = picked[order]
    starts = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1] if len(ordered) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(ordered)])
    times = np.empty(len(picked), dtype=np.int64)
    times[order] = np.arange(len(picked)) - np.repeat(starts, lengths)
    return times


def _axis(call: Call, position: int) -> tuple[int, int]:
    shape = call.shape(0)
    default = 0
    axis = call.arg(position, "dim", default) % len(shape)
    return axis, shape[axis]


def _stake(call: Call, axis: int) -> Ints:
    factor = call.flow(0).on(axis)
    return np.zeros(0, dtype=np.int64) if factor is None else factor.labels.ravel()


@rule("cat", "concat")
def cat(call: Call) -> Flow:
    """It joins tensors along an axis: channels on that axis stand side by side, those on other axes are tied."""
    values = [ref.value for ref in call.arg(0)]
    shapes = [call.walk.shape(value) for value in values]
    values = [value for value, shape in zip(values, shapes, strict=True) if shape != (0,)]
    rank = len(call.walk.shape(values[0]))
    axis = call.arg(1, "dim", 0) % rank
    joined = any(call.walk.flow(value).on(axis) is not None for value in values)
    beside = _tied_beside(call, values, axis)
    if not joined:
        return beside
    parts = [call.step(_part(call, value, axis, k), "cat", k) for k, value in enumerate(values)]
    return Flow((*beside.factors, Factor((axis,), np.concatenate(parts))))


def _part(call: Call, value: int, axis: int, number: int) -> Ints:
    """Labels of one part of a concatenation; a part without labels gets fixed ones."""
    factor = call.walk.flow(value).on(axis)
    if factor is not None:
        return call.collapse(factor, axis)
    made = call.fresh_of(value, axis)
    if made is None:
        call.sized()  # constant channels beside others: their number may follow from the others'
    return made if made is not None else call.fixed(number, call.walk.shape(value)[axis])


def _tied_beside(call: Call, values: Sequence[int], axis: int) -> Flow:
    """Labels on the axes beside a concatenation, tied between all parts."""
    flows = []
    for value in values:
        flow = call.walk.flow(value)
        for factor in flow.touching([axis]):
            if len(factor.axes) > 1:
                call.collapse(factor, axis)
        flows.append(flow)
    kept = Flow()
    for number, (value, flow) in enumerate(zip(values, flows, strict=True)):
        rest = flow.without([axis])
        for factor in rest.factors:
            known = kept.on(factor.axes[0])
            if known is None:
                kept = Flow((*kept.factors, factor))
            elif known.axes == factor.axes:
                call.tie(known.labels, factor.labels)
            else:
                call.freeze(factor.labels.ravel(), "labels of several axes meet")
        del number, value
    for value, flow in zip(values, flows, strict=True):
        for factor in kept.factors:
            for other in factor.axes:
                if flow.view is not None:
                    call.touch(value, other, call.collapse(factor, other), "produce")
                elif flow.on(other) is None:
                    call.freeze(factor.labels.ravel(), "it meets a tensor of fixed size")
    return kept


@rule("stack")
def stack(call: Call) -> Flow:
    """It joins tensors along a new axis: channels at the same position are tied."""
    values = [ref.value for ref in call.arg(0)]
    rank = len(call.walk.shape(values[0])) + 1
    new = call.arg(1, "dim", 0) % rank
    tied = meet(call, values)
    return tied.renamed({axis: axis + (axis >= new) for axis in range(rank - 1)})


@rule("constant_pad_nd")
def pad(call: Call) -> Flow:
    """It adds a border of one value; channels that it adds keep their number."""
    flow, rank, sizes = call.flow(0), len(call.shape(0)), call.arg(1)
    if flow.view is not None:
        return NOTHING
    factors = list(flow.factors)
    for place in range(len(sizes) // 2):
        axis = rank - 1 - place
        before, after = sizes[2 * place], sizes[2 * place + 1]
        factor = flow.on(axis)
        if factor is None or (before == 0 and after == 0):
            continue
        factors.remove(factor)
        labels = call.collapse(factor, axis)
        if before < 0 or after < 0:
            call.freeze(labels, "it is cropped")
            continue
        call.sized()
        parts = [call.fixed(("before", axis), before), labels, call.fixed(("after", axis), after)]
        factors.append(Factor((axis,), np.concatenate(parts)))
    return Flow(tuple(sorted(factors, key=lambda f: f.axes)))
