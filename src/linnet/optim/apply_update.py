"""The one place where natural gradient changes weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def apply_update(
    optimizer: torch.optim.Optimizer,
    delta: Mapping[int, Tensor],
    *,
    scale: float,
    momentum: float,
    in_functions: bool,
) -> None:
    """theta <- (1 - eta wd) theta - eta Delta, eta = lr * scale, with heavy ball where it is asked for.

    Args:
        optimizer: Its groups have "lr" and "weight_decay"; its state holds the momentum.
        delta: id of a parameter -> direction; a parameter that is missing stays as it is.
        scale: 1 / alpha where a group's "lr" is c, else 1.
        momentum: mu.
        in_functions: Whether momentum is that of function space: the direction is kept for the next step.
    """
    for group in optimizer.param_groups:
        lr = float(group["lr"])
        for p in group["params"]:
            found = delta.get(id(p))
            if found is None:
                continue
            state: dict[str, Any] = optimizer.state[p] if momentum else {}
            step = found * scale
            if momentum and in_functions:
                state["previous"] = found.clone()
            elif momentum:
                step = state.get("momentum_buffer", 0.0) * momentum + step
                state["momentum_buffer"] = step
            if group["weight_decay"]:
                p.mul_(1 - group["weight_decay"] * lr * scale)
            p.sub_(step.to(p.dtype), alpha=lr)
