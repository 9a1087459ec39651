"""One brightness scale for a whole image: its 1 and 99.8 percentiles become 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linnet.errors import ImageError

LOW, HIGH = 1.0, 99.8  # percentiles; ours
FLOOR, CEILING = -0.25, 1.5  # normalised brightness is clipped to this; ours
OUTSIDE = -0.5  # brightness of what lies outside the picture: darker than any pixel, so that its border can be seen
_SAMPLE = 1_000_000  # pixels that are looked at when a floating-point image is larger than _EXACT
_EXACT = 1 << 25


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
        span = max(self.high - self.low, np.finfo(np.float32).tiny)
        scaled = pixels.astype(np.float32)
        scaled -= np.float32(self.low)
        scaled *= np.float32(1.0 / span)
        return np.clip(scaled, FLOOR, CEILING, out=scaled)


def brightness_range(pixels: np.ndarray) -> Range:
    """The 1 and 99.8 percentiles over all pixels and channels together (per channel would destroy stain colour).

    8- and 16-bit images and booleans by exact histogram, floating-point images by partial sorting up to 2^25 values
    and from a fixed-seed sample of 10^6 values above that. Where both percentiles agree but the image isn't constant
    (few small nuclei on an empty ground), the maximum stands for the upper one.

    Args:
        pixels: An image of any shape; not empty.

    Raises:
        ImageError: the image has no pixels, isn't real, or holds NaN or infinity.
    """
    if pixels.size == 0:
        raise ImageError(f"The image has shape {pixels.shape} and no pixels; at least one pixel was needed.")
    if pixels.dtype == np.bool_ or pixels.dtype in (np.uint8, np.uint16):
        return _from_histogram(_histogram(pixels))
    if not np.issubdtype(pixels.dtype, np.floating) and not np.issubdtype(pixels.dtype, np.integer):
        raise ImageError(f"The image has values of type {pixels.dtype}; bool, integer or real pixels were needed.")
    if not np.isfinite(pixels).all():
        bad = int(pixels.size - np.isfinite(pixels).sum())
        raise ImageError(
            f"The image holds {bad} NaN or infinite pixels; finite pixels were needed. Replace them first."
        )
    flat = pixels.reshape(-1)
    if flat.size > _EXACT:
        flat = flat[np.random.default_rng(0).integers(0, flat.size, _SAMPLE)]
    low, high = np.percentile(flat.astype(np.float64), [LOW, HIGH])
    return Range(float(low), float(high) if high > low else float(pixels.max()))


def histogram_range(histogram: np.ndarray) -> Range:
    """The same from a histogram of integer values, gathered in pieces from an image too large for memory."""
    return _from_histogram(histogram)


def _histogram(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint16:
        return np.bincount(pixels.reshape(-1), minlength=1)
    return np.bincount(pixels.reshape(-1).view(np.uint8) if pixels.flags.c_contiguous else pixels.ravel(), minlength=1)


def _from_histogram(histogram: np.ndarray) -> Range:
    """Percentiles by linear interpolation between order statistics, as `numpy.percentile` computes them."""
    below = np.cumsum(histogram)
    values = [_order_statistic(below, q / 100 * (int(below[-1]) - 1)) for q in (LOW, HIGH)]
    top = float(np.flatnonzero(histogram)[-1])
    return Range(values[0], values[1] if values[1] > values[0] else top)


def _order_statistic(below: np.ndarray, rank: float) -> float:
    floor = int(rank)
    left, right = np.searchsorted(below, [floor, min(floor + 1, int(below[-1]) - 1)], side="right")
    return float(left + (rank - floor) * (right - left))
