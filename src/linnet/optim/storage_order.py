"""The order in which a tensor's elements lie in memory."""

from __future__ import annotations

from torch import Tensor


def storage_order(x: Tensor) -> tuple[int, ...]:
    """The axes from the widest stride to the narrowest: permuted so, a dense tensor is contiguous."""
    if x.is_contiguous():
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -x.stride(axis)))
