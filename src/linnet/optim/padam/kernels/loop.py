"""One Padam step in plain torch, tensor after tensor; every faster way is compared with it.

g <- -g                      if maximize
g <- g + wd x                coupled weight decay
x <- x (1 - lr wd)           decoupled weight decay
m <- b1 m + (1 - b1) g
v <- b2 v + (1 - b2) g g
u <- max(u, v)               amsgrad; else u is v
D = (scale sqrt(u) + eps)^(2p)
x <- x - k m / D             an element with D = 0 doesn't move
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from linnet.optim.padam.kernels.denominator import may_vanish, never_zero_, power_
from linnet.optim.padam.numbers import Numbers, Slot
from linnet.optim.padam.reduced_precision import step_wide

Moments = Callable[[Slot, Tensor, Numbers], None]  # updates m, v and u of a slot with a gradient


def loop_step(slots: Sequence[Slot], numbers: Numbers) -> None:
    """Steps one tensor after another."""
    for index, slot in enumerate(slots):
        if slot.x.dtype is slot.m.dtype and slot.g.dtype is slot.m.dtype:
            step_(slot, numbers.at(index))
        else:
            step_wide(slot, numbers.at(index), step_)


def moments_(slot: Slot, g: Tensor, numbers: Numbers) -> None:
    """The running means of a gradient and of its square, and the largest of the latter, in place."""
    slot.m.lerp_(g, numbers.weight1)
    slot.v.mul_(numbers.beta2).addcmul_(g, g, value=numbers.weight2)
    if slot.u is not slot.v:
        torch.maximum(slot.u, slot.v, out=slot.u)


def step_(
    slot: Slot,
    numbers: Numbers,
    scratch: Tensor | None = None,
    moments: Moments = moments_,
) -> None:
    """Steps one tensor, or one block of it, in place.

    Args:
        slot: The tensor, gradient and state, all of the dtype that is computed in.
        numbers: Of this step.
        scratch: Of the same shape and dtype, to be overwritten; None makes one.
        moments: Updates m, v and u with the gradient.
    """
    x, g = slot.x, slot.g
    if numbers.maximize:
        g = torch.neg(g, out=scratch)
    if numbers.coupled_decay is not None:
        g = torch.add(g, x, alpha=numbers.coupled_decay, out=scratch)
    if numbers.shrink is not None:
        x.mul_(numbers.shrink)
    moments(slot, g, numbers)
    _move_(x, slot.m, slot.u, numbers, scratch)


def _move_(x: Tensor, m: Tensor, u: Tensor, numbers: Numbers, scratch: Tensor | None) -> None:
    """x <- x - k m / D."""
    k = numbers.k
    if numbers.p == 0:
        _ = x.sub_(m * k) if isinstance(k, Tensor) else x.add_(m, alpha=-k)
        return
    d = denominator(u, numbers, scratch)
    if isinstance(k, Tensor):
        x.sub_(torch.div(m, d, out=d).mul_(k))
    else:
        x.addcdiv_(m, d, value=-k)


def denominator(u: Tensor, numbers: Numbers, scratch: Tensor | None = None) -> Tensor:
    """D = (scale sqrt(u) + eps)^(2p), infinite where it would be 0.

    Args:
        u: The second moment, or the largest so far.
        numbers: Of this step; p above 0.
        scratch: Where to write; None makes a new tensor.
    """
    d = torch.sqrt(u, out=scratch)
    if numbers.root_scale is not None:
        d.mul_(numbers.root_scale)
    d.add_(numbers.eps)
    power_(d, 2 * numbers.p)
    return never_zero_(d) if may_vanish(numbers.eps, d.dtype) else d
