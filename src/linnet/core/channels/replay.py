"""Follow an edit through the network: new sizes, a replay or a new recording, and labels laid along the first ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from linnet.arrays import Ints
from linnet.core.channels.layer_attributes import attributes
from linnet.core.channels.propagation import propagate
from linnet.core.channels.propagation_state import Mismatch, PropagationState, where
from linnet.core.program.both_modes import record_both
from linnet.core.program.program import Program
from linnet.errors import GraphError


def shapes_after(walk: PropagationState, copies: Ints) -> dict[int, tuple[int, ...]]:
    """Sizes of all tensors after an edit, by arithmetic.

    Args:
        walk: Labels of the given network.
        copies: Multiplicity by class root.

    Returns:
        Value number -> size, for the values whose size changes.
    """
    program = walk.program
    changed: dict[int, tuple[int, ...]] = {}
    for (name, axis), entry in walk.axes.items():
        _set(changed, program, program.tensors[name], axis, _size(walk, entry.labels, copies))
    for value, axis, labels in walk.parameter_views():
        _set(changed, program, value, axis, _size(walk, labels, copies))
    sizes: dict[int, int] = {}  # operators that pass labels share one array
    for value, flow in walk.flows.items():
        for factor in flow.factors:
            if len(factor.axes) == 1:
                size = sizes.get(id(factor.labels))
                if size is None:
                    size = sizes[id(factor.labels)] = int(copies[walk.atoms.find(factor.labels)].sum())
                _set(changed, program, value, factor.axes[0], size)
    return changed


def _size(walk: PropagationState, labels: Ints, copies: Ints) -> int:
    """The size of an axis of a parameter; places without a channel stay."""
    return int(copies[walk.atoms.find(labels[labels >= 0])].sum()) + int((labels < 0).sum())


def _set(changed: dict[int, tuple[int, ...]], program: Program, value: int, axis: int, size: int) -> None:
    shape = changed.get(value, program.shape(value))
    if shape[axis] != size:
        changed[value] = (*shape[:axis], size, *shape[axis + 1 :])


Tracer = Callable[..., Program]


def record_again(
    walk: PropagationState, copies: Ints, model: nn.Module, example: Any, tracer: Tracer | None = None
) -> Program:
    """Record a weightless copy of the model with the edit's sizes.

    Args:
        walk: Labels of the given network.
        copies: Multiplicity by class root.
        model: The unwrapped module.
        example: What the first program was recorded on.
        tracer: None is `record_both`; or a function with the arguments of `record`.

    Returns:
        The edited program, node by node like the first.

    Raises:
        GraphError: the model's code can't run at these sizes, or takes another path.
    """
    changed = shapes_after(walk, copies)
    names = walk.program.names
    shapes = {names[value]: shape for value, shape in changed.items() if value in names}
    follow = attributes(model, walk.program, changed, whole=walk.whole, norm_groups=walk.norm_groups)
    sized = {"shapes": shapes, "attributes": follow}
    program = tracer(model, example, **sized) if tracer else record_both(model, example, **sized, like=walk.program)
    for old, new in zip(walk.program.all_nodes, program.all_nodes, strict=False):
        if (old.op, old.inputs, old.module) != (new.op, new.inputs, new.module):
            stake = np.concatenate([np.zeros(0, dtype=np.int64), *(walk.flow(v).all_labels() for v in old.inputs)])
            raise Mismatch(old, f"at these sizes the model takes another path than before ({where(new)})", stake)
    if len(program.all_nodes) != len(walk.program.all_nodes):
        raise GraphError(
            f"At these sizes the model runs {len(program.all_nodes)} operators instead of "
            f"{len(walk.program.all_nodes)}."
        )
    return program


def follow(walk: PropagationState, copies: Ints, program: Program | None = None) -> PropagationState:
    """Labels of an edited network.

    Args:
        walk: Labels of the given network.
        copies: Multiplicity by class root.
        program: A new recording at the edit's sizes; None replays the first one.

    Returns:
        The second pass: `.axes` holds the new label list of every parameter axis.

    Raises:
        GraphError: the network doesn't follow the edit.
    """
    shapes = None
    if program is None:
        changed = shapes_after(walk, copies)
        names = walk.program.names
        shapes = {value: shape for value, shape in changed.items() if value in names}
    second = PropagationState(
        program or walk.program,
        frozen=walk.frozen,
        grows=walk.grows,
        whole=walk.whole,
        norm_groups=walk.norm_groups,
        first=walk,
        copies=copies,
        shapes=shapes,
    )
    return propagate(second)


def needs_recording(walk: PropagationState) -> bool:
    """Whether the user's code writes sizes down anywhere, so that an edit must be recorded anew."""
    return bool(walk.size_dependent)


def ones(walk: PropagationState) -> Ints:
    """The multiplicity that changes nothing."""
    return np.ones(walk.atoms.count, dtype=np.int64)
