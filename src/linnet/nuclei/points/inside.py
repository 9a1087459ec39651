"""What is measured inside each nucleus: the mean intensity of every channel in the disc of its diameter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float64

GRAY = ("intensity",)
COLOUR = ("red", "green", "blue")
_TILE = 1024  # pixels of the side of the squares that an image is read in
_VALUES = 1 << 20  # that are looked up at a time


def mean_inside(
    image: Any, points: Float64[np.ndarray, "n 2"], diameters_px: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, "n c"]:
    """Mean of each channel over the pixels whose centres lie in the disc of a nucleus, in the image's own units.

    The pixel that a centre lies in always counts, and pixels beyond the image don't.

    Args:
        image: (h, w) or (h, w, c); anything with shape, dtype and slicing. Only squares with nuclei are read.
        points: y and x of each nucleus, within the image.
        diameters_px: Their diameters.
    """
    channels = 1 if len(image.shape) == 2 else image.shape[2]
    out = np.zeros((len(points), channels))
    radius = np.maximum(np.asarray(diameters_px, dtype=np.float64) / 2, 0)
    for members in _squares(points):
        reach = int(np.ceil(radius[members].max()))
        low = np.maximum(np.floor(points[members].min(axis=0)).astype(int) - reach, 0)
        high = np.minimum(np.ceil(points[members].max(axis=0)).astype(int) + reach + 1, image.shape[:2])
        part = np.asarray(image[low[0] : high[0], low[1] : high[1]]).reshape(*(high - low), channels)
        out[members] = _in_part(part, points[members] - low, radius[members])
    return out


def channel_means(
    image: Any, points: Float64[np.ndarray, "n 2"], diameters_px: Float64[np.ndarray, " n"]
) -> dict[str, Float64[np.ndarray, " n"]]:
    """`mean_inside` by the name of the channel: "intensity" of a gray image, "red", "green" and "blue" of a colour one.

    Transparency is left out.
    """
    names = GRAY if len(image.shape) == 2 else COLOUR
    means = mean_inside(image, points, diameters_px)
    return {name: means[:, k] for k, name in enumerate(names)}


def _squares(points: Float64[np.ndarray, "n 2"]) -> Iterable[np.ndarray]:
    """Indices of the points in each square of the image that has any."""
    if not len(points):
        return []
    square = np.floor(points / _TILE).astype(np.int64)
    _, of = np.unique(square, axis=0, return_inverse=True)
    order = np.argsort(of.reshape(-1), kind="stable")
    return np.split(order, np.cumsum(np.bincount(of.reshape(-1)))[:-1])


def _in_part(part: np.ndarray, points: Float64[np.ndarray, "n 2"], radius: Float64[np.ndarray, " n"]) -> np.ndarray:
    """`mean_inside` within pixels in memory: a square of the largest radius about each point is looked up at once."""
    out = np.zeros((len(points), part.shape[2]))
    nearest = np.clip(np.floor(points + 0.5).astype(int), 0, np.array(part.shape[:2]) - 1)
    reach = int(np.ceil(radius.max()))
    steps = np.arange(-reach, reach + 1)
    every = max(1, _VALUES // (len(steps) ** 2 * part.shape[2]))
    for begin in range(0, len(points), every):
        some = slice(begin, begin + every)
        y, x = (nearest[some, axis, None] + steps for axis in (0, 1))
        away = (y - points[some, :1])[:, :, None] ** 2 + (x - points[some, 1:])[:, None, :] ** 2
        inside = away <= radius[some, None, None] ** 2
        inside[:, reach, reach] = True
        inside &= ((y >= 0) & (y < part.shape[0]))[:, :, None] & ((x >= 0) & (x < part.shape[1]))[:, None, :]
        rows, columns = np.clip(y, 0, part.shape[0] - 1), np.clip(x, 0, part.shape[1] - 1)
        values = part[rows[:, :, None], columns[:, None, :]].astype(np.float64)
        values[~inside] = 0
        out[some] = values.sum(axis=(1, 2)) / inside.sum(axis=(1, 2))[:, None]
    return out
