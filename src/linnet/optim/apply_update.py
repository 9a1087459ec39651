"""The one place where natural gradient changes weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_lists: Any = torch  # torch gives its list functions no types


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
        pairs = [(p, delta[id(p)]) for p in group["params"] if id(p) in delta]
        if not pairs:
            continue
        parameters, steps = [p for p, _ in pairs], [found for _, found in pairs]
        if momentum and in_functions:
            for p, found in pairs:
                optimizer.state[p]["previous"] = found.to(p.dtype, copy=True)
        if scale != 1.0:
            steps = list(_lists._foreach_mul(steps, scale))
        if momentum and not in_functions:
            steps = _heavy_ball(optimizer, parameters, steps, momentum)
        if group["weight_decay"]:
            _lists._foreach_mul_(parameters, 1 - group["weight_decay"] * lr * scale)
        _lists._foreach_add_(
            parameters, [step.to(p.dtype) for p, step in zip(parameters, steps, strict=True)], alpha=-lr
        )


def _heavy_ball(
    optimizer: torch.optim.Optimizer, parameters: list[Tensor], steps: list[Tensor], momentum: float
) -> list[Tensor]:
    """m <- mu m + Delta, in place where there is an m."""
    states: list[dict[str, Any]] = [optimizer.state[p] for p in parameters]
    for state, p in zip(states, parameters, strict=True):
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)  # of its dtype: so torch loads a saved one
    buffers = [state["momentum_buffer"] for state in states]
    _lists._foreach_mul_(buffers, momentum)
    _lists._foreach_add_(buffers, [step.to(m.dtype) for m, step in zip(buffers, steps, strict=True)])
    return buffers
