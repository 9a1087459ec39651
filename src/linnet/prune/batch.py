"""Batch: what a loader of (inputs, targets) gives."""

from __future__ import annotations

from typing import Any

from linnet.errors import InputError


def pair(batch: Any, argument: str) -> tuple[tuple[Any, ...], Any]:
    """The arguments of the network, and the targets.

    Args:
        batch: (inputs, targets); inputs may be a tensor or a tuple of arguments.
        argument: What gave it, for the message.

    Raises:
        InputError: it is no pair.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise InputError(
            f"`{argument}` gave a {type(batch).__name__}; pairs (inputs, targets) are needed, such as a DataLoader "
            "gives."
        )
    inputs, targets = batch
    return inputs if isinstance(inputs, tuple) else (inputs,), targets
