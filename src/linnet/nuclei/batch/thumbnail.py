"""A picture as a person should see it: 8 bits, of a sensible size, bright and dark parts both visible."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LOW, _HIGH = 0.5, 99.8  # percentiles that become black and white in a gray picture; ours
_BAND_PIXELS = 2**22


def shown(pixels: Any, *, max_side: int, min_side: int = 0) -> tuple[NDArray[np.uint8], float]:
    """A picture made ready to look at.

    Gray and deep colour pictures are stretched between percentiles over all channels together; 8-bit colour stays as it
    is. Reads a large picture in bands, so that it never is in memory as a whole.

    Args:
        pixels: (h, w) or (h, w, 3), or anything with shape, dtype and slicing.
        max_side: Longest side of the result; a larger picture is averaged down to it.
        min_side: A smaller picture is enlarged, to this at most, by at most 4.

    Returns:
        ((h', w') or (h', w', 3) uint8, zoom): pixel (y, x) is at (y + 0.5) * zoom - 0.5 in the result.
    """
    h, w = pixels.shape[:2]
    factor = max(1, max(h, w) // max_side)
    means = averaged(pixels, factor)
    natural = len(pixels.shape) == 3 and pixels.dtype == np.uint8
    small = to_bytes(means, (0.0, 255.0) if natural else brightness_of(means), natural=natural)
    longest = max(small.shape[:2])
    zoom = max_side / longest if longest > max_side else min(4.0, max(1.0, min_side / longest))
    if zoom == 1:
        return small, 1 / factor
    # The result may be a fraction of a pixel wider than its source; `box` keeps the zoom exact.
    size = (max(1, round(small.shape[1] * zoom)), max(1, round(small.shape[0] * zoom)))
    box = (0, 0, min(small.shape[1], size[0] / zoom), min(small.shape[0], size[1] / zoom))
    method = Image.Resampling.BOX if zoom < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(small).resize(size, method, box=box)), zoom / factor


def averaged(pixels: Any, factor: int) -> NDArray[np.generic]:
    """Means over squares of `factor` pixels; a part of a square at the far sides counts as one."""
    if factor == 1:
        return np.asarray(pixels[:, :])
    h, w = pixels.shape[:2]
    rows = max(factor, _BAND_PIXELS // max(1, w) // factor * factor)
    return np.concatenate([_averaged_band(np.asarray(pixels[y : y + rows, :]), factor) for y in range(0, h, rows)])


def _averaged_band(band: NDArray[np.generic], factor: int) -> NDArray[np.float32]:
    h, w = band.shape[:2]
    down, across = np.arange(0, h, factor), np.arange(0, w, factor)
    sums = np.add.reduceat(np.add.reduceat(band.astype(np.float32), down, axis=0), across, axis=1)
    areas = np.multiply.outer(np.diff(down, append=h), np.diff(across, append=w)).astype(np.float32)
    return sums / (areas if sums.ndim == 2 else areas[..., None])


def to_bytes(pixels: NDArray[np.generic], limits: tuple[float, float], *, natural: bool = False) -> NDArray[np.uint8]:
    """8 bits for a screen.

    Args:
        pixels: Values of any type.
        limits: Values that become black and white; equal ones give middle gray.
        natural: The values are means of 8-bit colours, which stay as they are.
    """
    if natural:
        return np.rint(pixels.astype(np.float32)).astype(np.uint8)
    low, high = limits
    if not high > low:
        return np.full(pixels.shape, 128, np.uint8)
    return np.clip(np.rint((pixels.astype(np.float64) - low) * (255 / (high - low))), 0, 255).astype(np.uint8)


def brightness_of(pixels: NDArray[np.generic]) -> tuple[float, float]:
    """(black, white) of a picture: percentiles, or the extremes where those are equal."""
    low, high = np.percentile(pixels.astype(np.float64), [_LOW, _HIGH]).tolist()
    return (low, high) if high > low else (float(pixels.min()), float(pixels.max()))
