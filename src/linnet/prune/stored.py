"""Stored: the state of a pruner is checked as a whole before anything of it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from linnet.errors import TrainingError


def require_own(state: Any, own: Mapping[str, Any]) -> None:
    """Raises unless a state is one that a pruner of this network could have given.

    Args:
        state: What came.
        own: The pruner's present state.

    Raises:
        TrainingError: it is another network's, or something is missing or of another kind.
    """
    sizes = state.get("sizes") if isinstance(state, Mapping) else None
    if sizes != own["sizes"]:
        given = type(state).__name__ if sizes is None else sizes
        raise TrainingError(
            f"this is the state of a pruner of another network or budget (its classes: {given}); one of "
            f"{own['sizes']} is needed. Make the pruner from the same network, align and keep."
        )
    asked = str(state.get("asked", own["asked"]))
    if asked != own["asked"]:
        raise TrainingError(
            f"this is the state of a pruner with another budget or other options ({asked[:300]}; here "
            f"{own['asked'][:300]}). Make the Pruner with the same arguments, then load."
        )
    _require_alike(state, own, "")


def _require_alike(state: Any, own: Any, path: str) -> None:
    if isinstance(own, Mapping) and isinstance(state, Mapping):
        for key in own.keys() - state.keys():
            raise TrainingError(
                f"the pruner's state lacks `{path}{key}`: it was cut, or written by another version. Give the whole "
                "of what `state_dict` gave, or begin without it."
            )
        for key in own:
            _require_alike(state[key], own[key], f"{path}{key}.")
        return
    if isinstance(own, torch.Tensor):
        fits = isinstance(state, torch.Tensor) and state.shape == own.shape and state.dtype == own.dtype
        if fits and not (own.is_floating_point() and not bool(torch.isfinite(state).all())):
            return
    elif isinstance(own, (int, float)) and not isinstance(own, bool):
        if isinstance(state, (int, float)):
            return
    elif isinstance(state, list if isinstance(own, (list, tuple)) else type(own)):
        return
    raise TrainingError(
        f"`{path[:-1]}` of the pruner's state is {_kind(state)}; {_kind(own)} is needed. Give the whole of what "
        "`state_dict` gave, or begin without it."
    )


def _kind(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__}"
    finite = "" if not value.is_floating_point() or bool(torch.isfinite(value).all()) else " with NaN or infinity"
    return f"a tensor of size {tuple(value.shape)} {str(value.dtype)[6:]}{finite}"
