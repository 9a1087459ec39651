"""Outputs of an ensemble's members, or of a single module as an ensemble of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from linnet.engine import Loader
from linnet.ensemble.arguments import require_callable, running, whole_number
from linnet.ensemble.outputs import evaluating
from linnet.ensemble.prediction.shapes import refuse_probabilities, require_class_logits, require_finite
from linnet.errors import InputError

Outputs = Tensor | tuple[Tensor, Tensor]
"""(M, N, ...) of all members; for a regression with variances a pair (means, log variances)."""


@runtime_checkable
class Ensemble(Protocol):
    """Anything that gives its members' outputs: a HatchEnsemble, snapshots, stochastic passes of one network.

    Attributes:
        task: "classification", "regression" or "dense".
        temperature: What calibration found: the temperature, or a regression's factor of the variance; None before.
    """

    task: str
    temperature: Any

    def member_outputs(self, x: Tensor) -> Outputs:
        """(M, N, ...): logits with the class axis after the samples, or values, or (means, log variances)."""
        ...


@dataclass(frozen=True)
class Gathered:
    """Outputs on a whole data set, on the CPU.

    Attributes:
        outputs: (M, N, ...), or a pair for a regression with variances.
        targets: (N, ...); None where only inputs were given.
    """

    outputs: Outputs
    targets: Tensor | None


def outputs_of(model: Any, x: Tensor) -> Outputs:
    """Outputs of all members, or of a module as the only one.

    Args:
        model: An `Ensemble`, or a module that gives (N, ...) or a pair of them.
        x: A batch of inputs.

    Raises:
        InputError: `model` is neither, or its output is no tensor and no pair of tensors.
    """
    if isinstance(model, Ensemble):
        return model.member_outputs(x)
    if not isinstance(model, nn.Module):
        raise InputError(
            f"`model` must be an ensemble or a torch.nn.Module (got {type(model).__name__}). Put the modules of a list "
            "into linnet.ensemble.HatchEnsemble(modules)."
        )
    found = model(x)
    if isinstance(found, Tensor):
        return found[None]
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(part, Tensor) for part in found):
        return found[0][None], found[1][None]
    raise InputError(
        f"`model` must give a tensor, or a pair (mean, log variance) (got a {type(found).__name__}). Wrap it in a "
        "module that does."
    )


def gather(
    model: Any, source: Any, *, argument: str, task: str, batch_size: int = 256, prepare: Any = None
) -> Gathered:
    """Outputs of all members on a data set, in eval mode and without gradients; the model's modes are restored.

    Args:
        model: An `Ensemble` or a module.
        source: Batches (inputs, targets) as a loader or an iterable, a pair of whole tensors, or inputs alone.
        argument: Name of the source, for errors.
        task: One of `TASKS`: what is checked about the outputs.
        batch_size: Of whole tensors.
        prepare: Applied to the inputs of each batch first.

    Raises:
        InputError: the source gives nothing or something else, or outputs aren't what the task needs.
    """
    whole_number("batch_size", batch_size, least=1)
    if prepare is not None:
        require_callable("prepare", prepare, "prepare(inputs)", "inputs")
    parts: list[tuple[Tensor, ...]] = []
    targets: list[Tensor] = []
    with evaluating(model), torch.no_grad():
        device = _device(model)
        for inputs, truth in batches_of(source, argument=argument, batch_size=batch_size):
            ready = inputs if prepare is None else prepare(inputs)
            with running(argument, model, ready):
                found = outputs_of(model, ready.to(device) if device is not None else ready)
            pair = found if isinstance(found, tuple) else (found,)
            parts.append(tuple(part.detach().cpu() for part in pair))
            targets += [] if truth is None else [truth.detach().cpu()]
    if not parts:
        raise InputError(f"`{argument}` must give at least one batch (got none). Check that the loader isn't used up.")
    if targets and len(targets) != len(parts):
        raise InputError(f"`{argument}` must give targets with every batch or with none (got both kinds).")
    if not any(part[0].shape[1] for part in parts):
        raise InputError(f"`{argument}` must give at least one sample (got 0). Check how the set was cut out.")
    whole = tuple(torch.cat(piece, dim=1) for piece in zip(*parts, strict=True))
    _check_outputs(whole, task)
    return Gathered(whole[0] if len(whole) == 1 else (whole[0], whole[1]), torch.cat(targets) if targets else None)


def batches_of(source: Any, *, argument: str, batch_size: int = 256) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches (inputs, targets or None) of a loader, an iterable, a pair of whole tensors, or a tensor of inputs.

    Args:
        source: What to take them from; a loader is gone through once, its epoch 0.
        argument: Its name, for errors.
        batch_size: Of whole tensors.

    Raises:
        InputError: it is none of these, or lengths differ.
    """
    if isinstance(source, Tensor):
        yield from ((part, None) for part in source.split(batch_size))
        return
    if isinstance(source, tuple) and len(source) == 2 and all(isinstance(part, Tensor) for part in source):
        if len(source[0]) != len(source[1]):
            raise InputError(
                f"`{argument}` must have one target for each input (got {len(source[0])} inputs and {len(source[1])} "
                "targets)."
            )
        yield from zip(source[0].split(batch_size), source[1].split(batch_size), strict=True)
        return
    if not isinstance(source, (Loader, Iterable)):
        raise InputError(
            f"`{argument}` must be a loader of batches (inputs, targets) or a pair of tensors (got "
            f"{type(source).__name__})."
        )
    for batch in source.epoch(0) if isinstance(source, Loader) else source:
        yield _parted(batch, argument)


def task_of(model: Any, task: str | None) -> str:
    """The task: what the ensemble says, or the one given for a module; "classification" by default."""
    if isinstance(model, Ensemble):
        return model.task
    return task or "classification"


def _parted(batch: Any, argument: str) -> tuple[Tensor, Tensor | None]:
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch):
        return batch[0], batch[1]
    if isinstance(batch, (tuple, list)) and len(batch) == 1 and isinstance(batch[0], Tensor):
        return batch[0], None
    raise InputError(
        f"`{argument}` must give batches (inputs, targets) of tensors (got a {type(batch).__name__}). Turn each batch "
        "into a pair first."
    )


def _device(model: Any) -> torch.device | None:
    if not isinstance(model, nn.Module):
        return None
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), None)


def _check_outputs(outputs: tuple[Tensor, ...], task: str) -> None:
    if task == "regression":
        require_finite(outputs[0], "outputs")
        return
    if len(outputs) != 1:
        raise InputError(
            f'`task` must be "regression" for members that give pairs (mean, log variance) (got {task!r}).'
        )
    logits = outputs[0]
    require_class_logits("outputs", logits)
    if (task == "dense") != (logits.ndim > 3):
        raise InputError(
            f"`task` must be {'dense' if logits.ndim > 3 else 'classification'!r} for logits of shape "
            f"{tuple(logits.shape)} (members, samples, classes, ...) (got {task!r})."
        )
    require_finite(logits, "logits")
    refuse_probabilities("outputs", logits)
