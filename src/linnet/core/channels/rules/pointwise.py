"""Operators that act element by element: labels pass, or are tied where several tensors meet."""

from __future__ import annotations

from dataclasses import replace

from linnet.arrays import Ints
from linnet.core.channels.rule_call import Call, rule
from linnet.core.channels.tensor_labels import NOTHING, Factor, Flow
from linnet.core.program.operators import operators_with

LINEAR = {"neg", "mul", "div", "true_divide"}


@rule(
    "clone",
    "detach",
    "alias",
    "lift_fresh",
    "lift_fresh_copy",
    "_to_copy",
    "contiguous",
    "positive",
    "_conj",
    "dropout",
)
def same(call: Call) -> Flow:
    """It copies or relabels a tensor; all channels pass."""
    return call.flow(0)


@rule("zeros_like", "ones_like", "full_like", "empty_like")
def constant_like(call: Call) -> Flow:
    """It makes a constant of the same sizes, with one value in every channel, or room for a dropout mask."""
    return replace(call.flow(0), view=None)


@rule("new_zeros", "new_ones", "new_full", "new_empty")
def constant_of_given_sizes(call: Call) -> Flow:
    """It makes a constant whose sizes stand in the caller's code, so it has no channels."""
    return NOTHING


@rule(*operators_with("elementwise", 1))
def unary(call: Call) -> Flow | tuple[Flow, ...]:
    """It changes one tensor element by element; all channels pass."""
    flow = call.flow(0)
    if flow.view is not None:
        flow = Flow(view=replace(flow.view, exact=flow.view.exact and call.node.name in LINEAR))
    return flow if len(call.node.outputs) == 1 else (flow,) * len(call.node.outputs)


@rule(*operators_with("elementwise", 2))
def binary(call: Call) -> Flow:
    """It combines tensors element by element: channels that meet are tied, parameters go with those they meet."""
    refs = call.refs()
    if len(refs) == 1:
        flow = call.walk.flow(refs[0])
        if flow.view is None:
            return flow
        return Flow(view=replace(flow.view, exact=flow.view.exact and call.node.name in LINEAR))
    return meet(call, refs)


@rule("_prelu_kernel")
def prelu(call: Call) -> Flow:
    """It has one slope for each channel, or one for all of them."""
    return meet(call, call.refs())


def meet(call: Call, refs: list[int]) -> Flow:
    """Broadcast tensors against each other and tie labels position by position.

    Args:
        call: The operator call.
        refs: Value numbers of the tensors.

    Returns:
        Labels of the result.
    """
    if not any(call.walk.flow(ref).factors for ref in refs):
        return computed(call, refs)
    ranks = [len(call.walk.shape(ref)) for ref in refs]
    rank = max(ranks)
    shifted = [_shift(call.walk.flow(ref), rank - own) for ref, own in zip(refs, ranks, strict=True)]
    factors: list[Factor] = []
    for axes in _components(shifted):
        factor = _meet_component(call, refs, shifted, ranks, axes)
        if factor is not None:
            factors.append(factor)
    for factor in factors:
        for axis in factor.axes:
            _meet_unlabelled(call, refs, shifted, ranks, rank, axis, factor)
    return Flow(tuple(sorted(factors, key=lambda f: f.axes)))


def computed(call: Call, refs: list[int]) -> Flow:
    """A parameter combined with numbers for each of its rows: itself without their mean, say, or times a gain.

    A row of the result depends on that row alone, so the channels that it makes may go; what is summed over it doesn't
    know which channels a position stands for.

    Args:
        call: The operator call.
        refs: Value numbers of the tensors, none of them labelled.

    Returns:
        A view of the parameter that has all axes, where the others have one of its axes at most.
    """
    shapes = [call.walk.shape(ref) for ref in refs]
    main = call.choose(
        "main", lambda: max(range(len(refs)), key=lambda n: len([size for size in shapes[n] if size > 1]))
    )
    view, rank = call.walk.flow(refs[main]).view, len(shapes[main])
    if view is None or any(len(shape) > rank for shape in shapes):
        return NOTHING
    for number, (ref, shape) in enumerate(zip(refs, shapes, strict=True)):
        other = call.walk.flow(ref).view
        if number == main:
            continue
        wide = call.choose(("wide", number), lambda s=shape: [a - len(s) for a, size in enumerate(s) if size > 1])
        if not wide:
            continue
        if other is None or len(wide) > 1:
            return NOTHING
        source = view.axes[wide[0]]
        if source is None or source != other.axes[wide[0]] or other.tensor != view.tensor:
            labels = call.fresh_of(refs[main], wide[0])
            if labels is None:
                return NOTHING
            call.touch(ref, wide[0], labels, "produce")
    return Flow(view=replace(view, exact=False))


def _shift(flow: Flow, by: int) -> Flow:
    factors = tuple(Factor(tuple(axis + by for axis in f.axes), f.labels) for f in flow.factors)
    return Flow(factors) if factors else NOTHING


def _components(flows: list[Flow]) -> list[tuple[int, ...]]:
    """Sets of axes connected by factors."""
    groups: list[set[int]] = []
    for flow in flows:
        for factor in flow.factors:
            joined = set(factor.axes)
            for group in [g for g in groups if g & joined]:
                joined |= group
                groups.remove(group)
            groups.append(joined)
    return sorted(tuple(sorted(group)) for group in groups)


def _meet_component(
    call: Call, refs: list[int], flows: list[Flow], ranks: list[int], axes: tuple[int, ...]
) -> Factor | None:
    parts = [factor for flow in flows for factor in flow.factors if set(factor.axes) <= set(axes)]
    narrow = call.choose(("narrow", axes), lambda: _narrow(parts, axes))
    for number in narrow:
        call.freeze(parts[number].labels.ravel(), "its one channel is broadcast over many")
    parts = [part for number, part in enumerate(parts) if number not in narrow]
    full = next((part for part in parts if part.axes == axes), None)
    if full is None:
        for part in parts:
            call.freeze(part.labels.ravel(), "labels of several axes meet")
        return None
    for part in parts:
        if part is not full:
            call.tie(full.labels, _spread(part, axes))
    return full


def _narrow(parts: list[Factor], axes: tuple[int, ...]) -> list[int]:
    """Numbers of the parts with one channel where others have several."""
    sizes = {axis: max(p.labels.shape[p.axes.index(axis)] for p in parts if axis in p.axes) for axis in axes}
    return [n for n, p in enumerate(parts) if any(s != sizes[a] for a, s in zip(p.axes, p.labels.shape, strict=True))]


def _spread(part: Factor, axes: tuple[int, ...]) -> Ints:
    shape = [part.labels.shape[part.axes.index(axis)] if axis in part.axes else 1 for axis in axes]
    return part.labels.reshape(shape)


def _meet_unlabelled(
    call: Call, refs: list[int], flows: list[Flow], ranks: list[int], rank: int, axis: int, factor: Factor
) -> None:
    """Parameters meeting a labelled axis belong to its channels; other tensors of full size fix it."""
    for number, (ref, flow, own) in enumerate(zip(refs, flows, ranks, strict=True)):
        place = axis - (rank - own)
        if place < 0 or flow.on(axis) is not None:
            continue
        one = call.choose(("one", number, axis), lambda ref=ref, place=place: call.walk.shape(ref)[place] == 1)
        if one:
            continue
        if call.walk.flow(ref).view is not None:
            call.touch(ref, place, call.collapse(factor, axis), "produce")
        else:
            call.freeze(factor.labels.ravel(), "it meets a tensor of fixed size")
