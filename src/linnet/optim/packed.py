"""Padam for small tensors, a cacheful at a time: one call for all their moments, one denominator that lies in a row.

Small tensors are bound by the calls of Python, not by memory. Here each line of the update is one call for the whole
pack, and the lines of the denominator run over one block of scratch, as if the pack were one tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from linnet.optim.fused_moments import fits, update_moments_
from linnet.optim.padam_numbers import Numbers, Slot
from linnet.optim.partial_power import may_vanish, never_zero_, power_

_lists: Any = torch  # torch gives its list functions no types


def can_pack(slot: Slot, numbers: Numbers) -> bool:
    """Whether a tensor can step in a pack: torch's kernel takes it, and all tensors share numbers of Python.

    Args:
        slot: The tensor.
        numbers: Of this step.
    """
    shared = not isinstance(numbers.t, Tensor) and not isinstance(numbers.k, Tensor)
    return shared and not isinstance(numbers.shrink, Tensor) and fits(slot[:5])


def packs(slots: Sequence[Slot], size: int) -> Iterator[list[Slot]]:
    """The slots in packs of one dtype, of at most `size` elements together (or of one tensor).

    Args:
        slots: The tensors.
        size: Elements of a pack.
    """
    alike: dict[Any, list[Slot]] = {}
    for slot in slots:
        alike.setdefault((slot.m.dtype, slot.u is slot.v), []).append(slot)
    for same in alike.values():
        pack: list[Slot] = []
        filled = 0
        for slot in same:
            elements = slot.x.numel()
            if pack and filled + elements > size:
                yield pack
                pack, filled = [], 0
            pack.append(slot)
            filled += elements
        yield pack


def step_pack(pack: Sequence[Slot], numbers: Numbers, scratch: Tensor) -> None:
    """Steps the tensors of a pack.

    Args:
        pack: Tensors that `can_pack`, of one dtype, all with a maximum or all without.
        numbers: Of this step.
        scratch: (elements,) as many as the pack has together, to be overwritten.
    """
    x, g, m, v, u = (list(tensors) for tensors in list(zip(*pack, strict=True))[:5])
    parts: list[Tensor] = _lists._C._nn.unflatten_dense_tensors(scratch, x)  # views of the shapes of x
    if numbers.maximize or numbers.coupled_decay is not None:
        _lists._foreach_copy_(parts, g)
        g = parts
    if numbers.maximize:
        scratch.neg_()
    if numbers.coupled_decay is not None:
        _lists._foreach_add_(g, x, alpha=numbers.coupled_decay)
    if numbers.shrink is not None:
        _lists._foreach_mul_(x, numbers.shrink)
    amsgrad = pack[0].u is not pack[0].v
    update_moments_(x, g, m, v, u, beta1=1 - numbers.weight1, beta2=numbers.beta2, amsgrad=amsgrad)
    if numbers.p == 0:
        _lists._foreach_add_(x, m, alpha=-numbers.k)
        return
    _lists._foreach_copy_(parts, u)
    _denominator_(scratch, numbers)
    _lists._foreach_addcdiv_(x, m, parts, -numbers.k)


def _denominator_(u: Tensor, numbers: Numbers) -> None:
    """D in the place of u, as `padam_step.denominator` has it."""
    u.sqrt_()
    if numbers.root_scale is not None:
        u.mul_(numbers.root_scale)
    power_(u.add_(numbers.eps), 2 * numbers.p)
    if may_vanish(numbers.eps, u.dtype):
        never_zero_(u)
