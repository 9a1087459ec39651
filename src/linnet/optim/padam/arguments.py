"""The checks of a parameter group of Padam: ranges, choices, and the condition of the theory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from linnet.errors import InputError

BiasCorrection = Literal["official", "power", "none"]


def require_valid(group: Mapping[str, Any], index: int) -> None:
    """Checks the values of one group.

    Args:
        group: The group.
        index: Its number, for the message.

    Raises:
        InputError: a value is out of range; the message names the group and the value.
    """
    where = f"group {index}"
    _require_lr(group["lr"], where)
    beta1, beta2 = _betas(group["betas"], where)
    p = group["p"]
    if not (isinstance(p, (int, float)) and 0 <= p <= 0.5):
        raise InputError(
            f"`p` of {where} must be from 0 (SGD with momentum) to 1/2 (Amsgrad) (got {p!r}). A good first choice "
            "is 1/8."
        )
    for name in ("eps", "weight_decay"):
        value = group[name]
        if not (isinstance(value, (int, float)) and 0 <= value < math.inf):
            raise InputError(f"`{name}` of {where} must be a number >= 0 (got {value!r}).")
    for name, beta in (("betas[0]", beta1), ("betas[1]", beta2)):
        if not 0 <= beta < 1:
            raise InputError(f"`{name}` of {where} must be a number in [0, 1), like 0.9 and 0.999 (got {beta!r}).")
    if group["bias_correction"] not in get_args(BiasCorrection):
        choices = ", ".join(f'"{choice}"' for choice in get_args(BiasCorrection))
        raise InputError(f"`bias_correction` of {where} must be one of {choices} (got {group['bias_correction']!r}).")
    if group["rounding_seed"] is not None:
        _require_bfloat16(group, where)


def _require_lr(lr: Any, where: str) -> None:
    if isinstance(lr, Tensor):
        if lr.numel() != 1:
            raise InputError(f"`lr` of {where} must be a tensor of a single element (got shape {tuple(lr.shape)}).")
        if lr.device.type != "cpu":  # reading it would wait for the device
            return
    elif not isinstance(lr, (int, float)):
        raise InputError(f"`lr` of {where} must be a number, or a tensor of a single element (got {lr!r}).")
    if not 0 <= lr < math.inf:
        raise InputError(f"`lr` of {where} must be finite and >= 0 (got {lr}).")


def _betas(betas: Any, where: str) -> tuple[float, float]:
    if isinstance(betas, (tuple, list)) and len(betas) == 2 and all(isinstance(beta, (int, float)) for beta in betas):
        return betas[0], betas[1]
    raise InputError(f"`betas` of {where} must be two numbers in [0, 1), like (0.9, 0.999) (got {betas!r}).")


def _require_bfloat16(group: Mapping[str, Any], where: str) -> None:
    for number, x in enumerate(group["params"]):
        if x.dtype != torch.bfloat16:
            name = group["param_names"][number] if "param_names" in group else f"parameter {number}"
            kind = str(x.dtype).removeprefix("torch.")
            raise InputError(
                f"Stochastic rounding needs bfloat16 parameters, but {name} of {where} is {kind}. Cast the model "
                "by `.to(torch.bfloat16)`, or give the other parameters a group with `rounding_seed=None`."
            )


def violates_theory(beta1: float, beta2: float, p: float) -> bool:
    """Whether b1 >= b2^(2p), which the convergence theory doesn't cover."""
    return beta1 >= beta2 ** (2 * p)


def warn_of_theory(group: Mapping[str, Any], index: int, *, stacklevel: int) -> None:
    """Warns that a group lies outside the convergence theory, with the numbers and a remedy.

    Args:
        group: A group for which `violates_theory` holds.
        index: Its number.
        stacklevel: Of the warning.

    Source:
        The condition b1 < b2^(2p) of the nonconvex analysis of Padam.
    """
    beta1, beta2 = group["betas"]
    p = group["p"]
    remedies = []
    if beta1 > 0:
        remedies.append(f"betas[1] > {beta1 ** (1 / (2 * p)):.6g}")
        if beta2 > 0:
            remedies.append(f"p < {math.log(beta1) / (2 * math.log(beta2)):.6g}")
    else:
        remedies.append("betas[1] > 0")
    warnings.warn(
        f"Padam's convergence theory needs b1 < b2^(2p), but in group {index} b1 = {beta1:g} and b2^(2p) = "
        f"{beta2:g}^{2 * p:g} = {beta2 ** (2 * p):.6g}. It may still train well; the theory covers "
        f"{' or '.join(remedies)}.",
        UserWarning,
        stacklevel=stacklevel,
    )
