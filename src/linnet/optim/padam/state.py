"""Padam's state: made, taken from a checkpoint of Padam or Adam, and refused when it doesn't fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from linnet.errors import CheckpointError
from linnet.optim.padam.reduced_precision import state_dtype

_KEPT_NONE = ("foreach", "fused")  # how torch.optim.Adam would compute; for Padam that is `impl`
MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
# What only other optimizers with a second moment have, and whose these are; Adam and AdamW have none of them.
_FOREIGN = {
    "momentum_decay": "NAdam",
    "mu_product": "NAdam",
    "exp_inf": "Adamax",
}
# A group of Adam or AdamW; RAdam's lacks the last two.
_OF_ADAM = ("lr", "betas", "eps", "weight_decay", "amsgrad")
_CONTINUES = "Padam continues Padam, Adam and AdamW. Start from the weights, without this state."


def new_state(x: Tensor, group: Mapping[str, Any]) -> dict[str, Tensor]:
    """State of a parameter that has taken no step: zeros, laid out as the parameter is.

    Args:
        x: The parameter.
        group: Its group.
    """
    device = x.device if group["capturable"] else "cpu"
    names = MOMENTS if group["amsgrad"] else MOMENTS[:2]
    zeros = {name: torch.zeros_like(x, dtype=state_dtype(x), requires_grad=False) for name in names}
    return {"step": torch.zeros((), dtype=torch.float32, device=device), **zeros}


def adopted(saved: Mapping[str, Any], x: Tensor, group: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of saved state as this parameter needs it: its device and layout, and 32 bits at least.

    Args:
        saved: `step`, `exp_avg`, `exp_avg_sq`, and perhaps `max_exp_avg_sq` and more.
        x: The parameter.
        group: Its group. With amsgrad, a missing maximum starts as the running mean of squares.
    """
    device = x.device if group["capturable"] else torch.device("cpu")
    step = torch.as_tensor(saved["step"]).detach().to(device, torch.float32, copy=True)
    found = {key: value for key, value in saved.items() if key != "step" and key not in MOMENTS}
    found["step"] = step
    for name in MOMENTS:
        if name in saved:
            found[name] = torch.empty_like(x, dtype=state_dtype(x), requires_grad=False).copy_(saved[name])
    if group["amsgrad"] and "max_exp_avg_sq" not in found:
        found["max_exp_avg_sq"] = found["exp_avg_sq"].clone()
    return found


def require_fitting(checkpoint: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> None:
    """Refuses a checkpoint that isn't of this optimizer's parameters, or of another kind of optimizer.

    Args:
        checkpoint: What `state_dict` of Padam, Adam or AdamW gave.
        groups: This optimizer's.

    Raises:
        CheckpointError: the number of groups or parameters or a shape differs, or moments are missing.
    """
    for part in ("param_groups", "state"):
        if part not in checkpoint:
            raise CheckpointError(f"The checkpoint must have `{part}`. Give the result of `optimizer.state_dict()`.")
    saved = checkpoint["param_groups"]
    if len(saved) != len(groups):
        raise CheckpointError(
            f"The checkpoint must have {len(groups)} parameter groups, as this optimizer has (got {len(saved)}). "
            "Make the optimizer with the same groups."
        )
    for index, (theirs, ours) in enumerate(zip(saved, groups, strict=True)):
        if "betas" not in theirs:
            raise CheckpointError(
                f"Group {index} of the checkpoint has no `betas`: it is of an optimizer without a second moment, "
                f"like SGD. {_CONTINUES}"
            )
        _require_adam(theirs, checkpoint["state"], index)
        if len(theirs["params"]) != len(ours["params"]):
            raise CheckpointError(
                f"Group {index} of the checkpoint must have {len(ours['params'])} parameters, as this optimizer's "
                f"has (got {len(theirs['params'])}). Make the optimizer over the same parameters in the same order."
            )
        for number, (key, x) in enumerate(zip(theirs["params"], ours["params"], strict=True)):
            _require_moments(checkpoint["state"].get(key, {}), x, f"parameter {number} of group {index}")


def _require_adam(theirs: Mapping[str, Any], state: Mapping[Any, Any], index: int) -> None:
    """Refuses what has moments like Adam's and another update."""
    keys = [*theirs, *(key for parameter in theirs["params"] for key in state.get(parameter, {}))]
    foreign = next((key for key in keys if key in _FOREIGN), None)
    if foreign is not None:
        raise CheckpointError(
            f"Group {index} of the checkpoint has `{foreign}`: it is of {_FOREIGN[foreign]}. {_CONTINUES}"
        )
    missing = next((key for key in _OF_ADAM if key not in theirs), None)
    if missing is not None:
        kind = "RAdam or another optimizer" if missing == "amsgrad" else "another optimizer"
        raise CheckpointError(f"Group {index} of the checkpoint has no `{missing}`: it is of {kind}. {_CONTINUES}")


def _require_moments(state: Mapping[str, Any], x: Tensor, where: str) -> None:
    if not state:
        return
    missing = [key for key in ("step", "exp_avg", "exp_avg_sq") if key not in state]
    if missing:
        raise CheckpointError(
            f"The checkpoint's state of {where} must have `{missing[0]}` (it has {', '.join(map(str, state))}). "
            f"{_CONTINUES}"
        )
    for key in MOMENTS:
        if key in state and state[key].shape != x.shape:
            raise CheckpointError(
                f"The checkpoint's `{key}` of {where} must have the parameter's shape, {tuple(x.shape)} (got "
                f"{tuple(state[key].shape)}). Make the optimizer over the same parameters in the same order."
            )
        if key in state and state[key].is_complex() != x.is_complex():
            raise CheckpointError(
                f"The checkpoint's `{key}` of {where} must be {x.dtype}, as the parameter is (got "
                f"{state[key].dtype}). Make the optimizer over the same parameters in the same order."
            )


def completed(checkpoint: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A checkpoint whose groups have every key: those that it lacks are as in this optimizer.

    Args:
        checkpoint: Of Padam, Adam or AdamW.
        groups: This optimizer's.
    """
    full = []
    for theirs, ours in zip(checkpoint["param_groups"], groups, strict=True):
        mine = {key: value for key, value in ours.items() if key not in ("params", "param_names")}
        full.append(mine | dict(theirs) | dict.fromkeys(_KEPT_NONE))
    return dict(checkpoint) | {"param_groups": full}


def restore(state: dict[Tensor, Any], groups: Sequence[Mapping[str, Any]], checkpoint: Mapping[str, Any]) -> None:
    """Puts a checkpoint's state in, in the dtype that it was saved in.

    `Optimizer.load_state_dict` has cast floating state to the parameter's dtype, and shares memory with the dictionary.

    Args:
        state: The optimizer's.
        groups: The optimizer's, after loading.
        checkpoint: What was loaded.
    """
    for theirs, ours in zip(checkpoint["param_groups"], groups, strict=True):
        for key, x in zip(theirs["params"], ours["params"], strict=True):
            if checkpoint["state"].get(key):
                state[x] = adopted(checkpoint["state"][key], x, ours)
