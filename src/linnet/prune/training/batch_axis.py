"""The axis along which samples lie: importance is measured for each sample, so it must be known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core import ChannelGraph
from linnet.core.channels.reads import Read
from linnet.core.edit.proof import drawn
from linnet.core.edit.trial_run import outputs
from linnet.core.program import module_copy
from linnet.core.program.example import Example, example_from_dict
from linnet.core.program.recorder import run
from linnet.errors import InputError
from linnet.prune.masks.masks import sample_axis, samples_of

_SAMPLES = 3  # no network has that many rows of a sample by chance
_REMEDY = (
    "Give Pruner(..., batch_axis=<axis>), or batch_axis=None, which measures a whole batch as one (so do the weights "
    'alone: criterion="l1")'
)


def require_samples(model: nn.Module, graph: ChannelGraph, reads: Iterable[Read], batch_axis: Any) -> None:
    """Raises unless each layer's input can be shared out to the samples of a batch.

    Args:
        model: The unwrapped network.
        graph: Its channel graph.
        reads: The layers that are measured.
        batch_axis: The axis of the network's inputs along which samples lie; None measures a whole batch as one.

    Raises:
        InputError: it isn't such an axis, or the rows of a layer don't belong to samples.
    """
    if batch_axis is not None and (isinstance(batch_axis, bool) or not isinstance(batch_axis, int) or batch_axis < 0):
        raise InputError(f"`batch_axis` must be an axis >= 0 of the inputs, or None (got {batch_axis!r}).")
    example = example_from_dict(graph.example)
    samples_of((example.args, example.kwargs), batch_axis)
    if batch_axis is None:
        return
    _require_rows(model, _widened(example, batch_axis), {read.module: read.last for read in reads}, batch_axis)
    if any(_ambiguous(tensor) for _, tensor in example.tensors()) and graph.program.tracer == "meta":
        _require_independent(model, graph, batch_axis)


def _widened(example: Example, axis: int) -> Example:
    """The example with three samples; what has one row beside others with several keeps it."""
    rows = {tensor.shape[axis] for _, tensor in example.tensors() if tensor.ndim > axis}

    def change(tensor: Tensor) -> Tensor:
        if tensor.ndim <= axis or (tensor.shape[axis] == 1 and len(rows) > 1):
            return tensor
        return tensor.narrow(axis, 0, 1).repeat_interleave(_SAMPLES, dim=axis)

    return example.map(change)


def _require_rows(model: nn.Module, example: Example, last: dict[str, bool], batch_axis: int) -> None:
    try:
        program = run(module_copy.meta(model, hooks="forward"), example.on_meta(), _SAMPLES, "meta")
    except Exception:  # a network that takes no other batch, or none without values: its training will tell
        return
    for node in program.nodes:
        if node.module not in last or not node.inputs or node.name not in ("linear", "convolution", "addmm", "mm"):
            continue
        shape = program.shape(node.inputs[1 if node.name == "addmm" else 0])
        first = next(iter(shape), 1)
        one = first == 1 and not (batch_axis and len(shape) > 2)
        if not one and sample_axis(shape, _SAMPLES, last=last[node.module], batch_axis=batch_axis) is None:
            raise InputError(
                f"`{node.module}` gets {first} rows for {_SAMPLES} samples, so they can't be shared out. {_REMEDY}."
            )


def _ambiguous(tensor: Tensor) -> bool:
    """Whether samples may lie on another axis than the first: sequences (T, N, C), and tokens (T, N)."""
    return tensor.ndim == 3 if tensor.is_floating_point() else tensor.ndim == 2


def _require_independent(model: nn.Module, graph: ChannelGraph, batch_axis: int) -> None:
    """Raises where a sample's outputs depend on another one, but wouldn't with another axis."""
    if _independent(model, graph, batch_axis) is not False:
        return
    other = next((axis for axis in (0, 1) if axis != batch_axis and _independent(model, graph, axis)), None)
    found = "" if other is None else f" Along axis {other} they don't: give Pruner(..., batch_axis={other})."
    raise InputError(
        f"`batch_axis` must be the axis along which samples lie (got {batch_axis}), but outputs at one place along it "
        f"depend on the inputs at others.{found or f' {_REMEDY}.'}"
    )


def _independent(model: nn.Module, graph: ChannelGraph, axis: int) -> bool | None:
    """Whether inputs at the first place along an axis change only outputs at the first place; None if unknown."""
    example = drawn(graph.example, 0)
    tensors = [tensor for _, tensor in example.tensors() if tensor.ndim > axis]
    if not tensors:
        return None
    given = _widened(example, axis)
    copy = module_copy.real(model, hooks="forward")
    generator = torch.Generator().manual_seed(1)

    def change(tensor: Tensor) -> Tensor:
        if tensor.ndim <= axis or tensor.shape[axis] != _SAMPLES:
            return tensor
        changed, first = tensor.clone(), tensor.select(axis, 0)
        fresh = torch.randn(first.shape, generator=generator, dtype=tensor.dtype) if tensor.is_floating_point() else 0
        changed.select(axis, 0).copy_(fresh + first.flip(-1) if first.ndim else fresh + first)
        return changed

    try:
        before, after = (outputs(copy, one, training=False) for one in (given.on_cpu(), given.on_cpu().map(change)))
    except Exception:  # a network that can't take such inputs: nothing is known
        return None
    pairs = [(a, b) for (_, a), (_, b) in zip(before, after, strict=True) if a.shape == b.shape and a.ndim]
    return all(_only_first(a != b) for a, b in pairs) if pairs else None


def _only_first(changed: Tensor) -> bool:
    """Whether all changes lie in the first third along one of the axes."""
    for axis, size in enumerate(changed.shape):
        if size % _SAMPLES == 0 and not bool(changed.narrow(axis, size // _SAMPLES, size - size // _SAMPLES).any()):
            return True
    return not bool(changed.any())
