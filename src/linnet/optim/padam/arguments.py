"""What a parameter group of Padam may hold: ranges, choices, and the condition of the theory."""

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
            f"`p` of {where} is {p!r}. Padam needs 0 <= p <= 1/2: 0 is SGD with momentum, 1/2 is Amsgrad, and 1/8 is "
            "a good first choice."
        )
    for name in ("eps", "weight_decay"):
        value = group[name]
        if not (isinstance(value, (int, float)) and 0 <= value < math.inf):
            raise InputError(f"`{name}` of {where} is {value!r}. Give a number that is 0 or more.")
    for name, beta in (("betas[0]", beta1), ("betas[1]", beta2)):
        if not 0 <= beta < 1:
            raise InputError(f"`{name}` of {where} is {beta!r}. Give a number in [0, 1), like 0.9 and 0.999.")
    if group["bias_correction"] not in get_args(BiasCorrection):
        choices = ", ".join(f'"{choice}"' for choice in get_args(BiasCorrection))
        raise InputError(f"`bias_correction` of {where} is {group['bias_correction']!r}. Choose one of {choices}.")
    if group["rounding_seed"] is not None:
        _require_bfloat16(group, where)


def _require_lr(lr: Any, where: str) -> None:
    if isinstance(lr, Tensor):
        if lr.numel() != 1:
            raise InputError(f"`lr` of {where} is a tensor of shape {tuple(lr.shape)}. Give one of a single element.")
        if lr.device.type != "cpu":  # reading it would wait for the device
            return
    elif not isinstance(lr, (int, float)):
        raise InputError(f"`lr` of {where} is {lr!r}. Give a number, or a tensor of a single element.")
    if not 0 <= lr < math.inf:
        raise InputError(f"`lr` of {where} is {lr}. Give a learning rate that is finite and 0 or more.")


def _betas(betas: Any, where: str) -> tuple[float, float]:
    if isinstance(betas, (tuple, list)) and len(betas) == 2 and all(isinstance(beta, (int, float)) for beta in betas):
        return betas[0], betas[1]
    raise InputError(f"`betas` of {where} are {betas!r}. Give two numbers in [0, 1), like (0.9, 0.999).")


def _require_bfloat16(group: Mapping[str, Any], where: str) -> None:
    for number, x in enumerate(group["params"]):
        if x.dtype != torch.bfloat16:
            name = group["param_names"][number] if "param_names" in group else f"parameter {number}"
            kind = str(x.dtype).removeprefix("torch.")
            raise InputError(
                f"{name} of {where} is {kind}, and stochastic rounding is for bfloat16 parameters only. Cast the model "
                "by `.to(torch.bfloat16)`, or give the other parameters a group with `rounding_seed=None`."
            )


def violates_theory(beta1: float, beta2: float, p: float) -> bool:
    """Whether b1 >= b2^(2p), outside of what the convergence theory covers."""
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
        f"Padam's convergence theory wants b1 < b2^(2p), but in group {index} b1 = {beta1:g} and b2^(2p) = "
        f"{beta2:g}^{2 * p:g} = {beta2 ** (2 * p):.6g}. It may still train well; inside the theory are "
        f"{' or '.join(remedies)}.",
        UserWarning,
        stacklevel=stacklevel,
    )
