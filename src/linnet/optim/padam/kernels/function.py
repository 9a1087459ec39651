"""One Padam step of one tensor as a function that changes nothing: for autograd, and for torch.compile to fuse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from linnet.optim.padam.kernels.denominator import power
from linnet.optim.padam.numbers import Numbers, Slot


def advanced(slot: Slot, numbers: Numbers, *, eps_vanishes: bool, exponent: Tensor | None = None) -> Slot:
    """The parameter and the state after one step; the lines are those of `loop.py`.

    Args:
        slot: The tensor, gradient and state.
        numbers: Of this step.
        eps_vanishes: Whether D may be 0 (see `may_vanish`).
        exponent: 2p as a 0-d tensor, for a p that isn't to be a constant of a compiled graph; None takes numbers.p.

    Returns:
        A slot of new tensors, x and g in the state's dtype.
    """
    x, g = slot.x.to(slot.m.dtype), slot.g.to(slot.m.dtype)
    if numbers.maximize:
        g = -g
    if numbers.coupled_decay is not None:
        g = g + numbers.coupled_decay * x
    if numbers.shrink is not None:
        x = x * numbers.shrink
    m = slot.m + (g - slot.m) * numbers.weight1
    v = slot.v * numbers.beta2 + g * g * numbers.weight2
    u = v if slot.u is slot.v else torch.maximum(slot.u, v)
    step = numbers.k * _quotient(m, u, numbers, eps_vanishes, exponent)
    return Slot(x - step, g, m, v, u, slot.rounding_key)


def _quotient(m: Tensor, u: Tensor, numbers: Numbers, vanishes: bool, exponent: Tensor | None) -> Tensor:  # noqa: FBT001
    """m / D."""
    if numbers.p == 0:
        return m
    d = u.sqrt()
    if numbers.root_scale is not None:
        d = d * numbers.root_scale
    d = power(d + numbers.eps, 2 * numbers.p if exponent is None else exponent)
    if vanishes:
        d = torch.where(d == 0, math.inf, d)
    return m / d
