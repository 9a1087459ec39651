"""Walk a program and label it: the given network first, then any edit of it along the first walk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnet.core.channels.propagation_state import Mismatch, PropagationState, positions, where
from linnet.core.channels.rule_call import Call, Outcome
from linnet.core.channels.tensor_labels import NOTHING, Factor, Flow, Source, View
from linnet.core.program.operators import operator_of
from linnet.core.program.program import Node

# Functions of torch whose inner views follow from their inputs; views of any other caller hold the user's own numbers.
DERIVED = frozenset(
    [
        "flatten",
        "linear",
        "matmul",
        "bmm",
        "baddbmm",
        "addmm",
        "prelu",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "native_channel_shuffle",
        "einsum",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "batch_norm",
        "group_norm",
        "layer_norm",
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
        "max_pool1d",
        "avg_pool1d",
        "adaptive_max_pool1d",
        "interpolate",
        "scaled_dot_product_attention",
        "__matmul__",
        "__rmatmul__",
        "cosine_similarity",
    ]
)


def propagate(state: PropagationState) -> PropagationState:
    """Walk the program.

    Returns:
        state.

    Raises:
        UnsupportedOperator: an operator without a rule touches labels that may be edited.
        Mismatch: an edited network doesn't follow its edit.
    """
    for name, value in state.program.tensors.items():
        axes = tuple(Source(axis) for axis in range(len(state.program.shape(value))))
        state.flows[value] = Flow(view=View(name, axes))
    for name, value in (*state.program.inputs, *state.program.training_inputs):
        state.flows[value] = _input(state, name, value)
    for node in state.program.all_nodes:
        if state.first is None and _written_size(node):
            state.size_dependent.append(node)
        _step(state, node)
    for name, value in state.program.outputs:
        state.freeze(state.flow(value).all_labels(), f"it is the model's {name}")
    for name, value in state.program.training_outputs:
        state.freeze(state.flow(value).all_labels(), f"it is the model's {name} in training mode")
    state.atoms.flatten()
    return state


def _input(state: PropagationState, name: str, value: int) -> Flow:
    shape = state.program.shape(value)
    if len(shape) < 2 or not state.program.values[value].dtype.is_floating_point:
        return NOTHING
    labels = state.made.get((-1, name, 1))
    if labels is None:
        labels = state.made[-1, name, 1] = state.atoms.new(shape[1])
    state.freeze(labels, f"it is the model's {name}")
    return Flow((Factor((1,), labels),))


def _step(state: PropagationState, node: Node) -> None:
    flows = [state.flow(value) for value in node.inputs]
    if not any(flow.factors or flow.view for flow in flows):
        return
    call = Call(state, node)
    inside = state.frozen.covers(node.module)
    if inside:
        for flow in flows:
            state.freeze(flow.all_labels(), f"`{node.module}` is frozen by the caller")
    outcome = _apply(state, call, flows)
    outputs = outcome if isinstance(outcome, tuple) else (outcome,)
    _fix_lost(state, call, outputs)
    for value, flow in zip(node.outputs, outputs, strict=False):
        if flow is None or value < 0:
            continue
        if inside:
            state.freeze(flow.all_labels(), f"`{node.module}` is frozen by the caller")
        state.flows[value] = flow
        if state.first is not None and flow.factors:
            _check(state, node, value, flow)


def _fix_lost(state: PropagationState, call: Call, outputs: Sequence[Flow | None]) -> None:
    """Parameters whose values go on as those of no channel (a sum of weights, a row of them) keep their sizes."""
    if state.first is not None:
        return
    for value in call.node.inputs:
        view = state.flow(value).view
        if view is None or value in call.used:
            continue
        kept = [flow.view.axes for flow in outputs if flow is not None and flow.view is not None]
        seen = {source.axis for axes in kept for source in axes if source is not None}
        for source in view.axes:
            if source is not None and source.axis not in seen:
                state.fix(view.tensor, source.axis, f"`{view.tensor}` is read as a whole by {where(call.node)}")


def _apply(state: PropagationState, call: Call, flows: Sequence[Flow]) -> Outcome:
    node, function = call.node, operator_of(call.node).rule
    stake = np.concatenate([flow.all_labels() for flow in flows])
    partial = bool(node.mutates) and any(_partial(state, value) for value in node.mutates)
    if partial:
        shared = {state.program.values[value].storage for value in node.mutates}
        others = [f.all_labels() for v, f in state.flows.items() if state.program.values[v].storage in shared]
        stake = np.concatenate([stake, *others])
    if function is not None and not partial:
        return function(call)
    state.refuse_unless_frozen(node, stake, "writes into a part of a tensor" if partial else "has no channel rule")
    return None


def _partial(state: PropagationState, value: int) -> bool:
    known = state.program.values[value]
    return int(np.prod(known.shape)) * known.dtype.itemsize < known.storage_bytes


def _check(state: PropagationState, node: Node, value: int, flow: Flow) -> None:
    """Each axis of an edited tensor must hold each old label as often as its multiplicity says."""
    assert state.first is not None
    assert state.copies is not None
    old = state.first.flow(value)
    if [f.axes for f in old.factors] != [f.axes for f in flow.factors]:
        raise Mismatch(node, "the edited program labels other axes", old.all_labels())
    shape = state.shape(value)
    for before, after in zip(old.factors, flow.factors, strict=True):
        if tuple(shape[axis] for axis in after.axes) != after.labels.shape:
            raise Mismatch(node, f"sizes {shape} don't fit its {after.labels.shape} channels", before.labels)
        pair = id(before.labels), id(after.labels)
        if pair not in state.agreed:
            positions(node, before.labels.ravel(), after.labels.ravel(), state)
            state.agreed[pair] = before.labels, after.labels


def _written_size(node: Node) -> bool:
    """Whether the user's own code gave sizes to this operator; they may come from channel numbers."""
    if not operator_of(node).sized or node.caller in DERIVED:
        return False
    sizes = node.argument(1)
    return isinstance(sizes, (list, tuple)) and any(isinstance(size, int) and size > 1 for size in sizes)
