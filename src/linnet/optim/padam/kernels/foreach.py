"""Padam over lists of tensors: one call for each line of the update, as GPUs want it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from linnet.optim.padam.kernels.denominator import ROOTS, may_vanish, never_zero_
from linnet.optim.padam.numbers import Numbers, Slot
from linnet.optim.padam.reduced_precision import write_back

_lists: Any = torch  # torch gives its list functions no types
CHUNK_BYTES = 256 * 1024 * 1024  # of temporaries at a time


def foreach_step(slots: Sequence[Slot], numbers: Numbers, *, chunk_bytes: int = CHUNK_BYTES) -> None:
    """Steps lists of tensors at a time.

    Args:
        slots: The tensors.
        numbers: Of this step.
        chunk_bytes: Temporaries stay below this (or at one tensor's).
    """
    for indices in _chunks(slots, numbers, chunk_bytes):
        chunk = [slots[index] for index in indices]
        x = [slot.x.to(slot.m.dtype) for slot in chunk]  # the tensor itself, unless it is of less than 32 bits
        _step_lists(x, chunk, numbers, indices)
        for slot, wide, index in zip(chunk, x, indices, strict=True):
            write_back(slot.x, wide, slot.rounding_key, numbers.at(index).t)


def _step_lists(x: list[Tensor], chunk: list[Slot], numbers: Numbers, indices: Sequence[int]) -> None:
    g: Any = [slot.g.to(slot.m.dtype) for slot in chunk]
    m, v, u = (list(tensors) for tensors in zip(*((slot.m, slot.v, slot.u) for slot in chunk), strict=True))
    if numbers.maximize:
        g = _lists._foreach_neg(g)
    if numbers.coupled_decay is not None:
        g = _lists._foreach_add(g, x, alpha=numbers.coupled_decay)
    if numbers.shrink is not None:
        _lists._foreach_mul_(x, numbers.shrink)
    _lists._foreach_lerp_(m, g, numbers.weight1)
    _lists._foreach_mul_(v, numbers.beta2)
    _lists._foreach_addcmul_(v, g, g, numbers.weight2)
    if chunk[0].u is not chunk[0].v:
        _lists._foreach_maximum_(u, v)
    _move_lists(x, m, u, numbers, indices)


def _move_lists(x: list[Tensor], m: list[Tensor], u: list[Tensor], numbers: Numbers, indices: Sequence[int]) -> None:
    k: Any = _each(numbers.k, indices)
    if numbers.p == 0:
        _lists._foreach_sub_(x, _lists._foreach_mul(m, k))
        return
    d = _denominators(u, numbers, indices)
    if isinstance(k, float):
        _lists._foreach_addcdiv_(x, m, d, -k)
    else:
        _lists._foreach_reciprocal_(d)
        _lists._foreach_mul_(d, m)
        _lists._foreach_mul_(d, k)
        _lists._foreach_sub_(x, d)


def _denominators(u: list[Tensor], numbers: Numbers, indices: Sequence[int]) -> list[Tensor]:
    d = _lists._foreach_sqrt(u)
    if numbers.root_scale is not None:
        scale: Any = _each(numbers.root_scale, indices)
        _lists._foreach_mul_(d, scale)
    _lists._foreach_add_(d, numbers.eps)
    _powers_(d, 2 * numbers.p)
    if may_vanish(numbers.eps, d[0].dtype):
        for one in d:
            never_zero_(one)
    return d


def _powers_(d: list[Tensor], exponent: float) -> None:
    roots = ROOTS.get(exponent)
    if roots is None:
        _lists._foreach_pow_(d, exponent)
        return
    for _ in range(roots[0]):
        _lists._foreach_sqrt_(d)
    if len(roots) == 2:
        _lists._foreach_mul_(d, _lists._foreach_sqrt(d))


def _each(value: float | Tensor, indices: Sequence[int]) -> float | list[Tensor]:
    if not isinstance(value, Tensor):
        return float(value)
    return [value[index] if value.ndim else value for index in indices]


def _chunks(slots: Sequence[Slot], numbers: Numbers, chunk_bytes: int) -> Iterator[list[int]]:
    """Indices of slots that go together: one dtype and device, and temporaries below the bound."""
    alike: dict[Any, list[int]] = {}
    for index, slot in enumerate(slots):
        alike.setdefault((slot.m.dtype, slot.m.device, slot.x.dtype), []).append(index)
    for indices in alike.values():
        chunk: list[int] = []
        size = 0
        for index in indices:
            m = slots[index].m
            bytes_here = m.numel() * m.element_size() * (1 + (numbers.coupled_decay is not None) + numbers.maximize)
            if chunk and size + bytes_here > chunk_bytes:
                yield chunk
                chunk, size = [], 0
            chunk.append(index)
            size += bytes_here
        if chunk:
            yield chunk
