"""One brightness scale for a whole image: its 1 and 99.8 percentiles become 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnet.errors import ImageError

LOW, HIGH = 1.0, 99.8  # percentiles; ours
FLOOR, CEILING = -0.25, 1.5  # normalised brightness is clipped to this; ours
HOT = 1.4  # normalised brightness from which a single pixel may be a hot one; ours
OUTSIDE = -0.5  # brightness of what lies outside the picture: darker than any pixel, so that its border can be seen
_SAMPLE = 1_000_000  # values that are looked at when a floating-point image has more than _EXACT
_EXACT = 1 << 24
_READ = 1 << 22  # bytes of the image that are read at a time
_COUNT = 1 << 19  # values that are counted at a time: `numpy.bincount` copies them to 8 bytes each


@dataclass(frozen=True)
class Range:
    """Brightness that becomes 0 and brightness that becomes 1, in the image's own units."""

    low: float
    high: float

    @property
    def constant(self) -> bool:
        """Whether there is no contrast, so that nothing can be found."""
        return not self.high > self.low

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """float32 pixels with `low` at 0 and `high` at 1, clipped to [FLOOR, CEILING]."""
        span = max(self.high - self.low, float(np.finfo(np.float32).tiny))
        precise = np.result_type(pixels.dtype, np.float32)  # float64 where float32 could lose a small contrast
        scaled = pixels.astype(precise)
        scaled -= precise.type(self.low)
        scaled *= precise.type(1.0 / span)
        return np.clip(scaled, FLOOR, CEILING, out=scaled).astype(np.float32, copy=False)


def without_hot_pixels(pixels: np.ndarray) -> np.ndarray:
    """Normalised pixels in which single ones far above the range and all around them have their neighbours' median.

    A pixel is hot when it is at least HOT and more than 1 above the median of its 3 x 3 neighbourhood; beyond the
    edges the outermost pixel repeats. A nucleus is wider than that.

    Args:
        pixels: (h, w) or (h, w, c) as `Range.apply` gives them.
    """
    suspects = np.argwhere(pixels >= HOT)
    if not len(suspects):
        return pixels
    at = tuple(suspects.T)
    y, x = at[0][:, None], at[1][:, None]
    offsets = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), -1).reshape(-1, 2)
    near_y = np.clip(y + offsets[:, 0], 0, pixels.shape[0] - 1)
    near_x = np.clip(x + offsets[:, 1], 0, pixels.shape[1] - 1)
    around = pixels[(near_y, near_x, *(axis[:, None] for axis in at[2:]))]
    median = np.median(around, axis=1)
    hot = pixels[at] - median > 1
    out = pixels.copy()
    out[tuple(axis[hot] for axis in at)] = median[hot]
    return out


def brightness_range(image: Any) -> Range:
    """The 1 and 99.8 percentiles over all pixels and colours together (per channel would destroy stain colour).

    8- and 16-bit images and booleans by exact histogram, others by partial sorting up to 2^24 values and from a
    fixed-seed sample of 10^6 values above that. Where both percentiles agree (few small nuclei on an empty ground),
    the smallest and the largest value stand for them. The image is read in bands of rows, so that one larger than
    memory can be looked at.

    Args:
        image: (h, w), (h, w, 3) or (h, w, 4; the alpha channel is left out); anything with shape, dtype and slicing.

    Raises:
        ImageError: the image has no pixels, isn't real, or holds NaN or infinity.
    """
    dtype = np.dtype(image.dtype)
    if 0 in image.shape:
        raise ImageError(f"The image has shape {tuple(image.shape)} and no pixels; at least one pixel was needed.")
    if dtype.kind not in "buif":
        raise ImageError(f"The image's pixels must be bool, integer or real numbers (got {dtype}).")
    if dtype.kind == "b" or (dtype.kind == "u" and dtype.itemsize <= 2):
        return _from_histogram(image, 256**dtype.itemsize)
    return _from_values(image, dtype)


def _bands(image: Any) -> Iterator[np.ndarray]:
    """All values without alpha, in order, as flat arrays of about _READ bytes."""
    rows = max(1, _READ // (math.prod(image.shape[1:]) * np.dtype(image.dtype).itemsize))
    for y in range(0, image.shape[0], rows):
        band = np.asarray(image[y : y + rows])
        yield (band[..., :3] if band.ndim == 3 else band).reshape(-1)


def _from_histogram(image: Any, levels: int) -> Range:
    histogram = np.zeros(levels, dtype=np.int64)
    for band in _bands(image):
        for k in range(0, band.size, _COUNT):
            histogram += np.bincount(band[k : k + _COUNT], minlength=levels)
    below, seen = np.cumsum(histogram), np.flatnonzero(histogram)

    def order_statistic(rank: int) -> float:
        return float(np.searchsorted(below, rank, side="right"))

    low, high = (_percentile(order_statistic, q, int(below[-1])) for q in (LOW, HIGH))
    return Range(low, high) if high > low else Range(float(seen[0]), float(seen[-1]))


def _from_values(image: Any, dtype: np.dtype) -> Range:
    size = math.prod((*image.shape[:2], *(min(n, 3) for n in image.shape[2:])))
    chosen = np.sort(np.random.default_rng(0).integers(0, size, _SAMPLE)) if size > _EXACT else np.arange(0)
    values = np.empty(len(chosen) or size, dtype.newbyteorder("="))
    least, most, bad, begin, filled = math.inf, -math.inf, 0, 0, 0
    for band in _bands(image):
        bad += int(band.size - np.isfinite(band).sum())
        least, most = min(least, float(band.min())), max(most, float(band.max()))
        here = slice(*np.searchsorted(chosen, [begin, begin + band.size]))
        picked = band[chosen[here] - begin] if len(chosen) else band
        values[filled : filled + len(picked)] = picked
        begin, filled = begin + band.size, filled + len(picked)
    if bad:
        raise ImageError(f"The image's pixels must be finite (got {bad} NaN or infinite ones). Replace them first.")
    last = len(values) - 1
    values.partition(sorted({min(int(q / 100 * last) + k, last) for q in (LOW, HIGH) for k in (0, 1)}))
    low, high = (_percentile(lambda rank: float(values[rank]), q, len(values)) for q in (LOW, HIGH))
    return Range(low, high) if high > low else Range(least, most)


def _percentile(order_statistic: Callable[[int], float], q: float, n: int) -> float:
    """Linear interpolation between order statistics, as `numpy.percentile` computes it."""
    rank = q / 100 * (n - 1)
    left, right = order_statistic(int(rank)), order_statistic(min(int(rank) + 1, n - 1))
    return left + (rank - int(rank)) * (right - left)
