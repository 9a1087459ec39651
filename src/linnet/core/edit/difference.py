"""The first module of an edited network that computes something else than before."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.edit.edit_plan import Edit
from linnet.core.edit.trial_run import outputs
from linnet.core.program.example import Example


def first_difference(
    reference: nn.Module, subject: nn.Module, given: Example, edit: Edit, *, training: bool, tolerance: float
) -> str:
    """Path of the first module whose output isn't the old one's, copied and cut; "(output)" when all agree."""
    left, right = (
        _module_outputs(reference, given, training=training),
        _module_outputs(subject, given, training=training),
    )
    for (path, before), (_, after) in zip(left, right, strict=False):
        expected = before
        for name, edits in edit.axes.items():
            owner, _, leaf = name.rpartition(".")
            made = next((e for e in edits if e.role == "produce"), None)
            if owner == path and leaf == "weight" and made is not None:
                axis = _channel_axis(reference.get_submodule(path), before)
                if before.shape[axis] == len(made.index) + len(made.removed) or made.index.max() < before.shape[axis]:
                    expected = before.index_select(axis, torch.from_numpy(made.index).to(before.device))
        if expected.shape != after.shape:
            continue
        size = float(expected.abs().max()) or 1.0
        if not float((expected - after).abs().max()) / size <= tolerance:
            return path
    return "(output)"


def _channel_axis(module: nn.Module, output: Tensor) -> int:
    last = isinstance(module, (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding))
    return output.ndim - 1 if last else min(1, output.ndim - 1)


def _module_outputs(model: nn.Module, given: Example, *, training: bool) -> list[tuple[str, Tensor]]:
    """Outputs of modules with parameters of their own, in order of execution."""
    found: list[tuple[str, Tensor]] = []
    handles = []
    for path, module in model.named_modules():
        if next(module.parameters(recurse=False), None) is not None:

            def keep(_: nn.Module, __: Any, output: Any, path: str = path) -> None:
                if isinstance(output, Tensor) and output.is_floating_point():
                    found.append((path, output.detach().clone()))

            handles.append(module.register_forward_hook(keep))
    try:
        with contextlib.suppress(Exception):  # the proof has told this error already; how far it came is what counts
            outputs(model, given, training=training)
    finally:
        for handle in handles:
            handle.remove()
    return found
