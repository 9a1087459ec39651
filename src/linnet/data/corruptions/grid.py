"""Resampling and filtering of batches (N, H, W, C), such that each image's result is its own: no sum crosses images.

Sums run over slices in a fixed order and not through matrix products, whose rounding depends on the batch's size.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from linnet.arrays import Floats

BASE = 32
"""Side for which lengths in pixels are given; for other images they are scaled by min(H, W) / 32."""

_DIRECT_TAPS = 400


def scale_of(x: Floats) -> float:
    """Pixels of this image for one of a 32 x 32 image."""
    return min(x.shape[1:3]) / BASE


def base_sides(x: Floats) -> tuple[int, int]:
    """(h, w) of a grid with the image's aspect whose smaller side is 32."""
    scale = scale_of(x)
    return round(x.shape[1] / scale), round(x.shape[2] / scale)


def gaussian(x: Floats, sigma: float, *, mode: str = "nearest", truncate: float = 4.0) -> Floats:
    """Each image blurred in y and x by a Gaussian of `sigma` pixels; (N, H, W) or (N, H, W, C)."""
    from scipy.ndimage import gaussian_filter

    if sigma <= 0:
        return x
    sigmas = (0, sigma, sigma) if x.ndim == 3 else (0, sigma, sigma, 0)
    return gaussian_filter(x, sigmas, mode=mode, truncate=truncate)


def correlate(x: Floats, kernel: Floats, *, mode: Literal["reflect", "edge"] = "reflect") -> Floats:
    """Each image with one kernel of odd sides: out[y, x] = sum_ij kernel[i, j] in[y + i - ri, x + j - rj].

    Args:
        x: (N, H, W, C).
        kernel: (2 ri + 1, 2 rj + 1).
        mode: What lies beyond the border: mirrored without the border pixel, or the border pixel repeated.
    """
    ri, rj = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(x, ((0, 0), (ri, ri), (rj, rj), (0, 0)), mode=mode)
    if np.count_nonzero(kernel) > _DIRECT_TAPS:
        return _by_fourier(padded, kernel)
    out = np.zeros_like(x)
    for i, j in zip(*np.nonzero(kernel), strict=True):
        out += kernel[i, j] * padded[:, i : i + x.shape[1], j : j + x.shape[2]]
    return out


def streaked(x: Floats, radius: float, sigma: float, angles: Floats) -> Floats:
    """Each image blurred to one side along a line, with one angle for each image.

    out[p] = sum_i w_i in[p - i (sin a, cos a)], w_i = exp(-i^2 / 2 sigma^2) normalised, i = 0 .. 2 ceil(radius), places
    rounded to pixels, the border pixel repeated.

    Args:
        x: (N, H, W, C).
        radius: In pixels.
        sigma: In pixels.
        angles: (N,) in radians, from the x axis, y downwards.
    """
    steps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    kept = weights > 1e-12
    steps, weights = steps[kept], weights[kept]
    dy = np.floor(np.sin(angles)[:, None] * steps + 0.5).astype(int)
    dx = np.floor(np.cos(angles)[:, None] * steps + 0.5).astype(int)
    reach = int(max(np.abs(dy).max(), np.abs(dx).max()))
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = x.shape[1:3]
    out = np.zeros_like(x)
    for image, wide, rows, columns in zip(out, padded, reach - dy, reach - dx, strict=True):
        for weight, y, left in zip(weights.tolist(), rows.tolist(), columns.tolist(), strict=True):
            image += weight * wide[y : y + height, left : left + width]
    return out


def zoomed(x: Floats, factor: float) -> Floats:
    """Each image enlarged about its centre by linear interpolation and cut to its size; (N, H, W, ...), factor >= 1."""
    for axis in (1, 2):
        middle = (x.shape[axis] - 1) / 2
        x = _interpolated(x, (np.arange(x.shape[axis]) - middle) / factor + middle, axis)
    return x


def to_sides(x: Floats, height: int, width: int) -> Floats:
    """Each field (N, h, w) brought to (N, height, width) by linear interpolation, pixel centres kept in place."""
    for axis, side in ((1, height), (2, width)):
        if x.shape[axis] != side:
            x = _interpolated(x, (np.arange(side) + 0.5) * (x.shape[axis] / side) - 0.5, axis)
    return x


def sampled(x: Floats, y: Floats, left: Floats) -> Floats:
    """Each image (H, W, C) at other places, by linear interpolation, mirrored beyond the border.

    Args:
        x: (N, H, W, C).
        y: (N, H, W) rows.
        left: (N, H, W) columns.
    """
    image = np.arange(len(x))[:, None, None]
    (y0, y1, fy), (x0, x1, fx) = (
        _split(_mirrored(y, x.shape[1]), x.shape[1]),
        _split(_mirrored(left, x.shape[2]), x.shape[2]),
    )
    fy, fx = fy[..., None], fx[..., None]
    top = x[image, y0, x0] * (1 - fx) + x[image, y0, x1] * fx
    bottom = x[image, y1, x0] * (1 - fx) + x[image, y1, x1] * fx
    return top * (1 - fy) + bottom * fy


def _interpolated(x: Floats, places: Floats, axis: int) -> Floats:
    low, high, share = _split(np.clip(places, 0, x.shape[axis] - 1), x.shape[axis])
    share = share.reshape([-1 if k == axis else 1 for k in range(x.ndim)])
    lower = x.take(low, axis=axis)
    return lower + (x.take(high, axis=axis) - lower) * share


def _split(places: Floats, side: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Floats]:
    low = np.clip(np.floor(places).astype(np.int64), 0, side - 2)
    return low, low + 1, places - low


def _mirrored(places: Floats, side: int) -> Floats:
    return np.abs((places + (side - 1)) % (2 * (side - 1)) - (side - 1))


def _by_fourier(padded: Floats, kernel: Floats) -> Floats:
    """Image by image, so that the transform's rounding can't depend on the batch."""
    from scipy.signal import fftconvolve

    flipped = kernel[::-1, ::-1, None]
    return np.stack([fftconvolve(image, flipped, mode="valid", axes=(0, 1)) for image in padded])
