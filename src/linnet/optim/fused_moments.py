"""Padam's moments of blocks in a single pass, by the kernel of torch's fused Adam with a learning rate of 0.

The kernel updates m, v and the maximum exactly as Padam does and then moves x by 0, so Padam's own move can follow
while the block is still in the cache: three passes less. It is private to torch, so it is tried on a few numbers once,
and the plain operations take its place where it is missing or computes something else.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float64)  # that the kernel computes in without rounding in between


def fits(tensors: tuple[Tensor, ...]) -> bool:
    """Whether the kernel can take these tensors: on the CPU, of one full-precision type, without gaps, not empty.

    Args:
        tensors: x, g, m, v and the maximum.
    """
    first = tensors[0]
    return (
        first.dtype in DTYPES
        and first.numel() > 0
        and all(t.is_cpu and t.dtype is first.dtype and t.is_contiguous() for t in tensors)
        and works()
    )


def update_moments_(
    x: list[Tensor],
    g: list[Tensor],
    m: list[Tensor],
    v: list[Tensor],
    u: list[Tensor],
    *,
    beta1: float,
    beta2: float,
    amsgrad: bool,
) -> None:
    """m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g g, and u <- max(u, v) with amsgrad, of each tensor; x stays."""
    torch._fused_adam_(  # pyright: ignore[reportPrivateImportUsage]
        x, g, m, v, u if amsgrad else [], [torch.ones(())] * len(x),
        lr=0.0, beta1=beta1, beta2=beta2, weight_decay=0.0, eps=1.0, amsgrad=amsgrad, maximize=False,
        grad_scale=None, found_inf=None,
    )  # fmt: skip


@cache
def works() -> bool:
    """Whether this torch has the kernel, and it computes Padam's moments and leaves x alone."""
    x, g, m, v = (torch.linspace(-1, 2, 9, dtype=torch.float64) * factor for factor in (1.0, 0.7, 0.3, 0.0))
    v, u = v + 0.2, torch.full((9,), 0.25, dtype=torch.float64)
    moved = [tensor.clone() for tensor in (x, g, m, v, u)]
    try:
        update_moments_(*([tensor] for tensor in moved), beta1=0.9, beta2=0.5, amsgrad=True)
    except (AttributeError, TypeError, RuntimeError):
        return False
    wanted_v = 0.5 * v + 0.5 * g * g
    wanted = (x, g, 0.9 * m + 0.1 * g, wanted_v, torch.maximum(u, wanted_v))
    return all(torch.allclose(ours, theirs, rtol=1e-14, atol=0) for ours, theirs in zip(moved, wanted, strict=True))
