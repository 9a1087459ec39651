"""Parameters of less than 32 bits: float32 state, a float32 step, and one rounding at the end.

Rounding to the nearest loses every step below half a unit in the last place (bfloat16: 2^-9 of the value). Stochastic
rounding goes up or down with probability by distance, so that the expected value is the float32 one. Its random bits
are a hash of (seed, tensor, step, element): nothing to store, and a resumed run draws the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from linnet.optim.padam.numbers import Numbers, Slot

_WIDER: Mapping[torch.dtype, torch.dtype] = MappingProxyType(
    {torch.bfloat16: torch.float32, torch.float16: torch.float32, torch.complex32: torch.complex64}
)
_32_BITS = 0xFFFFFFFF


def state_dtype(x: Tensor) -> torch.dtype:
    """The dtype of a parameter's moments: its own, but 32 bits at least."""
    return _WIDER.get(x.dtype, x.dtype)


def step_wide(
    slot: Slot,
    numbers: Numbers,
    step_: Callable[[Slot, Numbers, Tensor | None], None],
    *,
    scratch: tuple[Tensor, Tensor, Tensor] | None = None,
    first: int = 0,
) -> None:
    """Steps a tensor, or a block of one, whose parameter or gradient isn't of the state's dtype.

    Args:
        slot: The tensor.
        numbers: Of this step.
        step_: Steps a slot of one dtype in place, given scratch or None.
        scratch: Three tensors of the shape and of the state's dtype: for x, g and the step; None makes them.
        first: Number of the block's first element within its tensor.
    """
    x, g, m = slot.x, slot.g, slot.m
    if scratch is None:
        wide_x, wide_g, rest = x.to(m.dtype), g.to(m.dtype), None
    else:
        wide_x, wide_g, rest = scratch[0].copy_(x), scratch[1].copy_(g), scratch[2]
    step_(slot._replace(x=wide_x, g=wide_g), numbers, rest)
    write_back(x, wide_x, slot.rounding_key, numbers.t, first=first)


def write_back(x: Tensor, wide: Tensor, rounding_key: int | None, t: float | Tensor, *, first: int = 0) -> None:
    """Rounds the result into the parameter.

    Args:
        x: The parameter, or a block of it.
        wide: The result, of the same shape.
        rounding_key: The tensor's stream of random bits; None rounds to the nearest.
        t: The step's number.
        first: Number of the block's first element.
    """
    if x is wide:
        return
    if rounding_key is None:
        x.copy_(wide)
        return
    order = storage_order(x)
    rows = wide.permute(order)
    bits = random_bits(rounding_key, t, first=first, like=rows)
    x.permute(order).copy_(stochastically_rounded(rows, bits))


def stochastically_rounded(wide: Tensor, bits: Tensor) -> Tensor:
    """float32 values rounded to bfloat16 ones, up or down with probability by distance.

    The bits are added below bfloat16's last place, then what is below is cut off.

    Args:
        wide: float32.
        bits: int32 of the same shape, 0 .. 2^16 - 1.

    Returns:
        float32 values that bfloat16 holds exactly; infinity and NaN as they came.
    """
    rounded = wide.contiguous().view(torch.int32).add(bits).bitwise_and_(-65536).view(torch.float32)
    return torch.where(torch.isfinite(wide), rounded, wide)


def random_bits(key: int, t: float | Tensor, *, first: int, like: Tensor) -> Tensor:
    """16 random bits for each element: a hash of (key, t, element), the same on every machine.

    Args:
        key: Key of the tensor and the seed.
        t: The step's number.
        first: Number of the first element.
        like: Gives the shape and device.

    Returns:
        int32, 0 .. 2^16 - 1.

    Source:
        The mixing steps are those of the 32-bit finaliser of MurmurHash3 (public domain).
    """
    element = torch.arange(first, first + like.numel(), dtype=torch.int64, device=like.device)
    turn: Any = t.to(torch.int64) if isinstance(t, Tensor) else int(t)
    start = _mixed((_mixed(turn & _32_BITS) + key) & _32_BITS)
    return (_mixed(_mixed(element & _32_BITS) ^ start) >> 16).to(torch.int32).view(like.shape)


def stream_key(seed: int, tensor: int) -> int:
    """The key of one tensor's stream.

    Args:
        seed: The group's `rounding_seed`.
        tensor: Number of the parameter in the optimizer.
    """
    return _mixed((_mixed(seed & _32_BITS) + tensor + 1) & _32_BITS)


def _mixed(word: Any) -> Any:
    """32 bits in, 32 well-mixed bits out; of an integer or of an int64 tensor."""
    word = word ^ (word >> 16)
    word = _times(word, 0x85EBCA6B)
    word = word ^ (word >> 13)
    word = _times(word, 0xC2B2AE35)
    return word ^ (word >> 16)


def _times(word: Any, factor: int) -> Any:
    """word * factor mod 2^32, in two halves so that int64 never overflows."""
    low, high = factor & 0xFFFF, factor >> 16
    return (word * low + (((word * high) & 0xFFFF) << 16)) & _32_BITS


def storage_order(x: Tensor) -> tuple[int, ...]:
    """The axes from the widest stride to the narrowest: permuted so, a dense tensor is contiguous."""
    if x.is_contiguous():
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -x.stride(axis)))
