"""The denominator of Padam: D = (scale sqrt(u) + eps)^(2p)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

# 2p -> which members of the chain d, d^(1/2), d^(1/4), ... are multiplied: a square root costs a tenth of a power.
ROOTS: Mapping[float, tuple[int, ...]] = MappingProxyType(
    {1.0: (0,), 1 / 2: (1,), 1 / 4: (2,), 1 / 8: (3,), 1 / 16: (4,), 3 / 4: (1, 2), 3 / 8: (2, 3)}
)


def power_(d: Tensor, exponent: float) -> Tensor:
    """d^exponent, in place: by square roots where the exponent allows it, else 2^(exponent log2 d).

    Args:
        d: Not negative; 0 stays 0.
        exponent: 2p, in (0, 1].
    """
    roots = ROOTS.get(exponent)
    if roots is None:
        return d.log2_().mul_(exponent).exp2_()  # measured: a third of the time of `pow_` on a CPU
    for _ in range(roots[0]):
        d.sqrt_()
    return d.mul_(d.sqrt()) if len(roots) == 2 else d


def power(d: Tensor, exponent: float | Tensor) -> Tensor:
    """d^exponent as a new tensor, as `power_` does it; an exponent that is a tensor always goes by logarithms."""
    roots = None if isinstance(exponent, Tensor) else ROOTS.get(exponent)
    if roots is None:
        return torch.exp2(torch.log2(d) * exponent)
    for _ in range(roots[0]):
        d = d.sqrt()
    return d * d.sqrt() if len(roots) == 2 else d


def may_vanish(eps: float, dtype: torch.dtype) -> bool:
    """Whether eps is too small to keep a denominator of this dtype from being 0."""
    return eps < torch.finfo(dtype).tiny


def never_zero_(d: Tensor) -> Tensor:
    """A denominator whose zeros became infinity, in place: where D = 0, m / D is 0."""
    return d.masked_fill_(d == 0, math.inf)
