"""The family of jet kernels: products of sums [1, 1] and differences [1, -1] along y and along x.

With n taps an axis, only the number q of differences among them matters, since convolution commutes:
row(n, q) = [1, -1]^(*q) * [1, 1]^(*(n - q)), and the kernel of (qy, qx) is K[i, j] = row(n, qy)[i] row(n, qx)[j].
The (n + 1)^2 kernels of one size are a basis of all kernels of that size.
"""

from __future__ import annotations

import numpy as np

SIZES = (2, 3, 4, 5)
"""Kernel sizes of a jet: one tap fewer an axis than elements."""

SHIFT_SIZES = (2, 3, 4)
"""Sizes whose L1 gains powers of two can make equal; of a 5 x 5 kernel they are 16, 6 and 4 an axis."""


def row(size: int, differences: int) -> np.ndarray:
    """One axis of a jet kernel.

    Args:
        size: Elements, n + 1.
        differences: q, how many of its n taps are [1, -1]; the others are [1, 1].

    Returns:
        int64 (size,).

    Example:
        >>> row(3, 0).tolist(), row(3, 1).tolist(), row(3, 2).tolist()
        ([1, 2, 1], [1, 0, -1], [1, -2, 1])
    """
    taps = [[1, -1]] * differences + [[1, 1]] * (size - 1 - differences)
    made = np.ones(1, np.int64)
    for tap in taps:
        made = np.convolve(made, tap)
    return made


def kernel(size: int, qy: int, qx: int) -> np.ndarray:
    """The kernel with `qy` differences down and `qx` across, as torch's correlation takes it: int64 (size, size)."""
    return np.outer(row(size, qy), row(size, qx))


def gain_shift(size: int, differences: int) -> int:
    """Power of two that gives one axis the L1 gain of the smoothing one, 2^(size - 1)."""
    return int(2 ** (size - 1) // np.abs(row(size, differences)).sum()).bit_length() - 1


def kernel_name(size: int, qy: int, qx: int) -> str:
    """What a kernel is called in reports: gaussian, sobel_x, sobel_y, laplace_x, ..., or its differences.

    Args:
        size: Elements an axis.
        qy: Differences down.
        qx: Differences across.

    Example:
        >>> kernel_name(3, 0, 0), kernel_name(3, 0, 1), kernel_name(3, 2, 1)
        ('gaussian', 'sobel_x', 'dyy_dx')
    """
    if size == 2:
        return {(0, 0): "box", (0, 1): "difference_x", (1, 0): "difference_y", (1, 1): "cross"}[qy, qx]
    known = {(0, 0): "gaussian", (0, 1): "sobel_x", (1, 0): "sobel_y", (1, 1): "cross"}
    known |= {(0, 2): "laplace_x", (2, 0): "laplace_y"}
    if (qy, qx) in known:
        return known[qy, qx]
    return "_".join(f"d{axis * q}" for axis, q in (("y", qy), ("x", qx)) if q)


def chance(size: int) -> np.ndarray:
    """How often each (qy, qx) comes up when all tap bits are fair coins: float64 (size, size), sums to 1."""
    n = size - 1
    axis = np.array([float(_binomial(n, q)) for q in range(n + 1)]) / 2**n
    return np.outer(axis, axis)


def _binomial(n: int, q: int) -> int:
    return int(np.abs(row(n + 1, 0))[q])
