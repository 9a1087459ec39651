"""The choice among the four ways to compute a Padam step, and its reason."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

from linnet.errors import InputError
from linnet.optim.padam.kernels.blocked import BLOCK, DTYPES, works

Impl = Literal["loop", "blocked", "foreach", "compiled"]


class Choice(NamedTuple):
    """One way to compute the step.

    Attributes:
        name: "loop", "blocked", "foreach" or "compiled".
        reason: One line.
    """

    name: Impl
    reason: str


def require_known(impl: object) -> None:
    """Refuses an `impl` that doesn't exist, or one that can't work here.

    Raises:
        InputError: the name is unknown, or it is "compiled" and there is no compiler.
    """
    if impl is None:
        return
    if impl not in get_args(Impl):
        choices = ", ".join(f'"{choice}"' for choice in get_args(Impl))
        raise InputError(f"`impl` must be one of {choices}, or None for the fastest (got {impl!r}).")
    if impl == "compiled" and not compiler():
        raise InputError(
            '`impl` can\'t be "compiled" here: there is neither a C++ compiler (g++ or clang++ in the PATH, or '
            'named by CXX) nor Triton. Install one, or leave `impl=None`, which picks "blocked" or "foreach".'
        )


def compiler() -> str | None:
    """The C++ compiler that torch.compile would call, or "triton" for GPUs; None without either."""
    asked = os.environ.get("CXX")
    found = [shutil.which(name) for name in ([asked] if asked else ["g++", "clang++"])]
    return next((path for path in found if path), None) or ("triton" if importlib.util.find_spec("triton") else None)


def choose(asked: Impl | None, groups: Sequence[Mapping[str, Any]]) -> Choice:
    """The way to step these groups.

    Args:
        asked: The requested way, or None.
        groups: Parameter groups.
    """
    parameters: list[Tensor] = [x for group in groups for x in group["params"]]
    if any(group["differentiable"] for group in groups):
        return Choice("loop", "differentiable: each line must leave its inputs to autograd")
    if asked is not None:
        return Choice(asked, "asked for by name")
    if _sharded(parameters):
        return Choice("loop", "sharded parameters (DTensor) take elementwise operations only")
    note = ""
    if os.environ.get("LINNET_COMPILE") == "1":
        if compiler():
            return Choice("compiled", "LINNET_COMPILE=1")
        note = "LINNET_COMPILE=1 found no compiler"
    return uncompiled(groups, note)


def uncompiled(groups: Sequence[Mapping[str, Any]], note: str = "") -> Choice:
    """The way to step these groups without a compiler.

    Args:
        groups: Parameter groups.
        note: Why not compiled.
    """
    parameters: list[Tensor] = [x for group in groups for x in group["params"]]
    after = f"; {note}" if note else ""
    if any(x.is_cuda for x in parameters):
        return Choice("foreach", f"parameters on a GPU{after}")
    elements = sum(x.numel() for x in parameters)
    if elements <= BLOCK and not (all(x.dtype in DTYPES for x in parameters) and works()):
        return Choice("foreach", f"{elements} elements in all, and no kernel that steps small tensors together{after}")
    return Choice("blocked", f"{elements} elements on the CPU, in blocks that stay in its cache{after}")


def _sharded(parameters: Sequence[Tensor]) -> bool:
    """Whether some are DTensors; whoever has one has imported it, and importing it here would cost half a second."""
    tensors = sys.modules.get("torch.distributed.tensor")
    return tensors is not None and any(isinstance(x, tensors.DTensor) for x in parameters)
