"""The update of natural gradient: the weights change here and nowhere else; its KL clip and its adapted damping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.jacobian.chosen_output import tensor_of
from linnet.core.jacobian.functional_call import call_with
from linnet.core.jacobian.losses import Loss
from linnet.optim.natural.approximation import Approximation, Direction, Settings
from linnet.optim.natural.isotropy import Isotropy

_lists: Any = torch  # torch gives its list functions no types


@torch.no_grad()
def apply_update(
    optimizer: torch.optim.Optimizer,
    delta: Mapping[int, Tensor],
    *,
    scale: float,
    momentum: float,
    in_functions: bool,
    shrink: float = 1.0,
) -> None:
    """theta <- (1 - eta wd) theta - eta shrink Delta, eta = lr * scale, with heavy ball if `momentum` isn't 0.

    Args:
        optimizer: Its groups have "lr" and "weight_decay"; its state holds the momentum.
        delta: id of a parameter -> direction; a parameter that is missing stays as it is.
        scale: 1 / alpha where a group's "lr" is c, else 1.
        momentum: mu.
        in_functions: Whether momentum is that of function space: the direction is kept for the next step.
        shrink: What the directions are multiplied with.
    """
    for group in optimizer.param_groups:
        lr = float(group["lr"])
        pairs = [(p, delta[id(p)]) for p in group["params"] if id(p) in delta]
        if not pairs:
            continue
        parameters, steps, length = [p for p, _ in pairs], [found for _, found in pairs], scale * shrink
        if momentum and in_functions:
            for p, found in pairs:
                optimizer.state[p]["previous"] = (found * shrink).to(p.dtype)
        if momentum and not in_functions:
            steps, length = _heavy_ball(optimizer, parameters, steps, momentum, length), 1.0
        if group["weight_decay"]:
            _lists._foreach_mul_(parameters, 1 - group["weight_decay"] * lr * scale)
        _lists._foreach_add_(
            parameters, [step.to(p.dtype) for p, step in zip(parameters, steps, strict=True)], alpha=-lr * length
        )


def _heavy_ball(
    optimizer: torch.optim.Optimizer, parameters: list[Tensor], steps: list[Tensor], momentum: float, length: float
) -> list[Tensor]:
    """m <- mu m + length Delta, in place where there is an m."""
    states: list[dict[str, Any]] = [optimizer.state[p] for p in parameters]
    for state, p in zip(states, parameters, strict=True):
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)  # of its dtype: so torch loads a saved one
    buffers = [state["momentum_buffer"] for state in states]
    _lists._foreach_mul_(buffers, momentum)
    _lists._foreach_add_(buffers, [step.to(m.dtype) for m, step in zip(buffers, steps, strict=True)], alpha=length)
    return buffers


@torch.no_grad()
def slope(delta: Mapping[str, Tensor], gradient: Mapping[str, Tensor]) -> float:
    """Delta . grad over the names that both have."""
    pairs = [(d.reshape(-1), gradient[name].reshape(-1)) for name, d in delta.items() if name in gradient]
    dots = [torch.dot(d, g.to(d.dtype)) for d, g in pairs]
    return float(torch.stack([dot.double() for dot in dots]).sum()) if dots else 0.0


def clip_scale(delta: Mapping[str, Tensor], gradient: Mapping[str, Tensor], *, eta: float, most: float) -> float:
    """min(1, sqrt(most / (eta^2 Delta . grad))), as Delta^T G Delta = Delta . grad for Delta = G^-1 grad.

    Args:
        delta: Parameter name -> direction.
        gradient: Parameter name -> gradient of the loss; where it is missing it counts as 0.
        eta: Step size; where it isn't a number (alpha couldn't be measured) nothing is clipped.
        most: Largest eta^2 Delta^T G Delta.

    Raises:
        ArithmeticError: Delta^T G Delta is infinite.

    Source:
        Ba, Grosse & Martens 2017: a trust region in the distributions, by scaling the step.
    """
    moved = abs(eta * eta * slope(delta, gradient))  # below 0 where the metric isn't positive definite: tridiagonal
    if math.isinf(moved):
        raise ArithmeticError("the length of the step in the metric is infinite")
    return min(1.0, math.sqrt(most / moved)) if moved > 0 else 1.0


def clipped(
    direction: Direction,
    measured: Isotropy | None,
    gradient: Mapping[str, Tensor],
    *,
    alpha: float,
    eta: float,
    most: float,
) -> tuple[Direction, Isotropy | None]:
    """Direction and measurement after the KL clip.

    Args:
        direction: Before it.
        measured: Its isotropy, if it is known.
        gradient: See `clip_scale`, like `eta` and `most`.
        alpha: That of the whole direction, which stays.
        eta: Step size.
        most: Largest eta^2 Delta^T G Delta.
    """
    scale = clip_scale(direction.delta, gradient, eta=eta, most=most)
    return replace(direction, shrink=scale, alpha=alpha), None if measured is None else measured.shrunk(scale)


def previous_directions(
    state: Mapping[Tensor, Mapping[str, Any]], names: Mapping[str, Tensor], settings: Settings, of: Approximation
) -> dict[str, Tensor] | None:
    """The last direction, for momentum in function space; None where there is none.

    Args:
        state: Of the optimizer.
        names: Name -> parameter that moves.
        settings: They have the momentum.
        of: The approximation.
    """
    kept = names if settings.momentum and of.function_momentum else {}
    return {name: state[p]["previous"] for name, p in kept.items() if "previous" in state[p]} or None


EVERY = 5  # steps; with the rate 19/20 a step the constants of Martens & Grosse 2015, section 6.5
RATE = (19 / 20) ** EVERY
WELL, BADLY = 0.75, 0.25


def adapted(damping: float, *, decrease: float, predicted: float) -> float:
    """rho after a step was checked: smaller where it was predicted well, larger where badly.

    Args:
        damping: rho > 0.
        decrease: Decrease of the loss, measured on the step's batch.
        predicted: eta grad . Delta - (eta^2 / 2) Delta^T F Delta.

    Source:
        Martens & Grosse 2015, section 6.5.
    """
    if predicted <= 0.0 or not math.isfinite(decrease) or decrease < BADLY * predicted:
        return damping / RATE
    return damping * RATE if decrease > WELL * predicted else damping


def adapt_groups(groups: Iterable[dict[str, Any]], *, decrease: float, moved: Isotropy, eta: float) -> None:
    """Levenberg-Marquardt in every group: its damping follows how well a step of size eta was predicted."""
    predicted = eta * moved.slope - eta * eta * moved.kl_per_eta2
    for group in groups:
        group["damping"] = adapted(group["damping"], decrease=decrease, predicted=predicted)


@torch.no_grad()
def loss_now(model: nn.Module, x: Any, y: Tensor, loss: Loss, *, output: Callable[[Any], Any] | None = None) -> float:
    """The loss of a batch at the present weights; buffers (running statistics) stay as they are."""
    inputs = x if isinstance(x, tuple) else (x,)
    found = call_with(model, {name: value.clone() for name, value in model.named_buffers()}, inputs)
    outputs = tensor_of(found, output)
    return float(loss.value(outputs.flatten(1) if outputs.ndim > 1 else outputs.unsqueeze(1), y))
