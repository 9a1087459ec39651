"""The tensors of one parameter in a Padam step, and the numbers that the tensors of one step share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Slot(NamedTuple):
    """One parameter tensor and all that its step reads and writes, of one shape.

    Attributes:
        x: The parameter.
        g: Its gradient.
        m: `exp_avg`, the running mean of gradients.
        v: `exp_avg_sq`, the running mean of squared gradients.
        u: `max_exp_avg_sq`, the largest v so far; v itself without amsgrad.
        rounding_key: Which stream of random bits rounds x stochastically; None rounds to the nearest.
    """

    x: Tensor
    g: Tensor
    m: Tensor
    v: Tensor
    u: Tensor
    rounding_key: int | None = None


class Numbers(NamedTuple):
    """The numbers of one step. (Inside a compiled kernel all but p are 0-d tensors.)

    Attributes:
        t: The step's number, from 1. A (tensors,) vector on the device when step counts are tensors; then k and
            root_scale are vectors too.
        weight1: 1 - b1, the new gradient's weight in the mean.
        beta2: b2.
        weight2: 1 - b2, its square's weight in the mean of squares.
        p: Partial adaptivity, 0 to 1/2.
        eps: Added to the root of the second moment.
        k: Size of the step for m / D = 1.
        root_scale: Factor of sqrt(u) before eps is added: 1 / sqrt(c2) for "power"; None is 1.
        coupled_decay: Weight decay that is added to the gradient; None is 0.
        shrink: Factor of the parameter before the step: 1 - lr * weight_decay when decoupled; None is 1.
        maximize: Whether the gradient's sign is turned.
    """

    t: float | Tensor
    weight1: float
    beta2: float
    weight2: float
    p: float
    eps: float
    k: float | Tensor
    root_scale: float | Tensor | None
    coupled_decay: float | None
    shrink: float | Tensor | None
    maximize: bool

    def at(self, index: int) -> Numbers:
        """The numbers of one tensor of the step."""
        if not isinstance(self.t, Tensor) or self.t.ndim == 0:
            return self
        t, k, scale = (_item(value, index) for value in (self.t, self.k, self.root_scale))
        return self._replace(t=t, k=k, root_scale=scale)


def numbers_of(group: Mapping[str, Any], t: float | Tensor) -> Numbers:
    """The numbers of a group's step number t.

    c1 = 1 - b1^t and c2 = 1 - b2^t;  k = lr sqrt(c2) / c1 ("official"), lr / c1 ("power"), lr ("none").

    Args:
        group: A parameter group of Padam.
        t: The step's number, from 1, or a vector of them.
    """
    beta1, beta2 = group["betas"]
    correction, decay, decoupled = group["bias_correction"], group["weight_decay"], group["decoupled_weight_decay"]
    lr = _learning_rate(group, t)
    c1 = c2 = 1.0
    if correction != "none":
        c1, c2 = _one_minus_power(beta1, t), _one_minus_power(beta2, t)
    return Numbers(
        t=t,
        weight1=1 - beta1,
        beta2=beta2,
        weight2=1 - beta2,
        p=group["p"],
        eps=group["eps"],
        k=lr * c2**0.5 / c1 if correction == "official" else lr / c1,
        root_scale=c2**-0.5 if correction == "power" else None,
        coupled_decay=decay if decay != 0 and not decoupled else None,
        shrink=1 - lr * decay if decoupled and decay != 0 else None,
        maximize=group["maximize"],
    )


def _learning_rate(group: Mapping[str, Any], t: float | Tensor) -> float | Tensor:
    lr = group["lr"]
    if not isinstance(lr, Tensor):
        return lr
    if group["differentiable"]:
        return lr.reshape(())
    return lr.reshape(()).to(t.device) if isinstance(t, Tensor) else lr.item()


def _one_minus_power(beta: float, t: Any) -> Any:
    """1 - beta^t without cancellation at small t."""
    if beta == 0:
        return 1.0
    if isinstance(t, Tensor):
        return -torch.expm1(t * math.log(beta))
    return -math.expm1(t * math.log(beta))


def _item(value: Any, index: int) -> Any:
    return value[index] if isinstance(value, Tensor) and value.ndim else value
