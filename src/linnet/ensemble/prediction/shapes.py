"""Shapes and values of members' outputs, checked once at the boundary."""

from __future__ import annotations

import torch
from torch import Tensor

from linnet.errors import InputError

TASKS = ("classification", "regression", "dense")


def require_class_logits(argument: str, logits: Tensor) -> None:
    """Refuses what can't be logits of members.

    Args:
        argument: Its name, for the error.
        logits: (M, N, C, ...), floating point, with at least one member and two classes.

    Raises:
        InputError: it is something else.
    """
    shape = tuple(logits.shape)
    if len(shape) < 3 or not shape[0] or not logits.is_floating_point():
        raise InputError(
            f"`{argument}` must be floating-point logits of shape (members, samples, classes, ...) (got {logits.dtype} "
            f"of shape {shape}). Stack the members' outputs along a new first axis."
        )
    if shape[2] < 2:
        raise InputError(
            f"`{argument}` must have at least 2 classes (got {shape[2]}). Give a two-class network two logits: "
            "torch.cat([torch.zeros_like(z), z], dim=1) for a single logit z."
        )


def require_finite(outputs: Tensor, what: str) -> None:
    """Refuses NaN and infinity and names the members that gave them.

    Args:
        outputs: (M, N, ...).
        what: Of the outputs: "logits".

    Raises:
        InputError: a member's output isn't finite.
    """
    bad = [number for number, member in enumerate(outputs) if not bool(torch.isfinite(member).all())]
    if bad:
        names = ", ".join(f"`members[{number}]`" for number in bad)
        raise InputError(
            f"{names}: the {what} must be finite (got NaN or infinity in eval mode). Drop these members, or train "
            "them again with a lower learning rate."
        )


def refuse_probabilities(argument: str, logits: Tensor) -> None:
    """Refuses probabilities where logits are needed: values in 0..1 that sum to 1 over the classes, in every row.

    Args:
        argument: Its name, for the error.
        logits: (M, N, C, ...), floating point.

    Raises:
        InputError: all rows are distributions.
    """
    if not logits.numel() or bool((logits < 0).any()) or bool((logits > 1).any()):
        return
    sums = logits.double().sum(dim=2)
    if bool(((sums - 1).abs() < 1e-3 if logits.element_size() < 4 else (sums - 1).abs() < 1e-5).all()):
        raise InputError(
            f"`{argument}` must be logits (got probabilities: every row is in 0..1 and sums to 1). Take the softmax "
            "out of the network's end, or give the logarithms of the probabilities."
        )
