"""A range of brightness that dust, hot pixels and padding can't move, with a floor below which there is only noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from linnet.nuclei.detector.brightness import HIGH, LOW, Range, brightness_range
from linnet.nuclei.detector.sample import sample_blocks

# The contrast of 693 images of nuclei (nuclei_dsb2018, nuclei_tnbc) is at least 22 times their noise and, but for one,
# 24 gray levels of 8 bits; blank fields of a camera and white glass have 5 to 17 times and up to 6 levels.
_NOISES = 20.0
_LEVELS = 18.0
_MASK = 3  # values, 0 among them, up to which 8 bits hold a mask, whose levels say nothing
_SPECKS = 3.0  # a block this many times as bright as three quarters of them holds something else than nuclei
_FEW = 0.08  # share of the blocks up to which such blocks are specks; nuclei that are far apart lie in more of them
_HOT = 1.5  # single pixels that raise the range by this factor are hot ones
# A gray picture of less contrast beside its brightness than this is noise where its values are distributed so. None of
# the 672 images of nuclei_dsb2018 and its second part is, made gray; of their 4,125 tiles of 96 px with nuclei, one is.
_NORMAL = (0.5, 16, 50, 84, 99.5)  # percentiles
_FAINT = ((0.67, 0.25, (2.3, 2.9)), (0.2, 0.4, (1.9, 3.4)))  # contrast, skew, and tails over the middle: normal 2.59
_EVERY = 5  # of the blocks are enough for the noise; not a divisor of 8, so that they lie in all columns
_PILED = 0.02  # share of the pixels from which one value at an end of the type's range is padding
_INSIDE = 0.05  # share of such pixels in half of the blocks that aren't all padding; of a ground it is far more
_FULL = 0.98  # share from which a block is all padding
_GAP = 0.3  # of the range of the other pixels, by which padding lies apart from them


def robust_range(image: Any) -> Range:
    """`brightness_range`, unless a few specks, single pixels or padding made it, and never narrower than the noise.

    In this order: a value at an end of the type's range that is piled up far from all others is padding and isn't
    counted, unless it lies between the others everywhere, as an exactly black ground does; single pixels brighter than
    all around them are no end of the range; where most of the image shows something, a few blocks that are several
    times as bright don't set its end; and the range spans at least 20 standard deviations of the noise, for 8 bits at
    least 18 levels. Noise that was blurred is known by its distribution.

    Args:
        image: (h, w), (h, w, 3) or (h, w, 4); anything with shape, dtype and slicing.

    Raises:
        ImageError: as for `brightness_range`.

    Source:
        Ours.
    """
    plain = brightness_range(image)
    if plain.constant:
        return plain
    blocks = [block for block in sample_blocks(image) if block.size]
    low, high = plain.low, plain.high
    values = np.concatenate([block.reshape(-1) for block in blocks])
    kept = _without_padding(values, np.dtype(image.dtype), blocks)
    if len(kept) < len(values):
        low, high = (float(v) for v in np.percentile(kept, [LOW, HIGH]))
    highs = np.array([_calm_high(block, low, high) for block in blocks])
    calm = float(np.percentile(np.concatenate([_calm(block)[::2, ::2].reshape(-1) for block in blocks]), HIGH))
    if calm > low and high - low > _HOT * (calm - low):
        high = calm
    noise = max(_noise(blocks), _noise_alone(blocks))
    seen = np.unique(values[:: max(1, len(values) >> 14)])
    steps = image.dtype == np.uint8 and (len(seen) > _MASK or seen[0] > 0)
    high = _without_specks(low, high, highs, max(noise, 0.5) if steps else noise)
    floor = max(_NOISES * noise, _LEVELS if steps else 0.0)
    return _widened(Range(low, high), floor) if high - low < floor and (noise > 0 or steps) else Range(low, high)


def _widened(known: Range, span: float) -> Range:
    """The range with the given span about the same middle, so that an empty field lies far from both ends."""
    middle = (known.low + known.high) / 2
    return Range(middle - span / 2, middle + span / 2)


def _without_padding(values: np.ndarray, dtype: np.dtype, blocks: list[np.ndarray]) -> np.ndarray:
    ends = (0, np.iinfo(dtype).max) if dtype.kind in "iu" else (0.0, 1.0)
    for end in ends:
        shares = np.array([_all_equal(block, end) for block in blocks])
        inside = shares[shares < _FULL]
        if shares.mean() < _PILED or (len(inside) and np.median(inside) > _INSIDE):
            continue
        others = values[values != end]
        if len(others) == 0:
            continue
        low, high = np.percentile(others, [LOW, HIGH])
        gap = low - end if end == 0 else end - high
        if high > low and gap > _GAP * (high - low):
            values = others
    return values


def _all_equal(block: np.ndarray, value: float) -> float:
    """Share of the block's pixels that have the value in all channels."""
    same = block == value
    return float((same if same.ndim == 2 else same.all(-1)).mean())


def _calm(block: np.ndarray) -> np.ndarray:
    """The smaller one of each pixel and its right neighbour: single bright pixels are gone."""
    return np.minimum(block[:, :-1], block[:, 1:]) if block.shape[1] > 1 else block


def _calm_high(block: np.ndarray, low: float, high: float) -> float:
    calm = np.sort(_calm(block)[::2, ::2], axis=None)
    return float(np.clip(calm[int(0.99 * (len(calm) - 1))], low, high)) if len(calm) else low


def _without_specks(low: float, high: float, highs: np.ndarray, noise: float) -> float:
    typical = float(np.percentile(highs, 75))
    if typical - low <= _NOISES * noise or high - low <= _SPECKS * (typical - low):
        return high
    usual = highs <= low + _SPECKS * (typical - low)
    return high if np.mean(~usual) > _FEW else float(highs[usual].max())


def _noise_alone(blocks: list[np.ndarray]) -> float:
    """Standard deviation of a faint gray picture that is distributed as noise is, however it was blurred; else 0.

    A normal distribution is symmetric, and its 0.5 and 99.5 percentiles lie 2.59 times as far apart as its 16 and 84
    percentiles. Nuclei on their ground are neither, or have more contrast.
    """
    if blocks[0].ndim == 3:
        return 0.0
    values = np.concatenate([block.reshape(-1) for block in blocks])
    if values.dtype.kind in "iu":  # spread within each level, evenly
        values = values + (np.arange(len(values)) * 0.618034 % 1 - 0.5)
    low, left, middle, right, high = (float(v) for v in np.percentile(values, _NORMAL))
    if not low < left < middle < right < high:
        return 0.0
    skew = max(abs(math.log((high - middle) / (middle - low))), abs(math.log((right - middle) / (middle - left))))
    contrast, tails = (high - low) / max(abs(middle), 1e-30), (high - low) / (right - left)
    normal = (contrast < most and skew < lean and wide[0] < tails < wide[1] for most, lean, wide in _FAINT)
    return (right - left) / 2 if any(normal) else 0.0


def _noise(blocks: list[np.ndarray]) -> float:
    """Standard deviation of white noise, from second differences along the diagonals; the middle over the blocks.

    The largest 5 % of the differences are edges and hot pixels and count like the one at that place; for white noise
    that makes the standard deviation 0.956 times as large.
    """
    found = []
    for block in blocks[::_EVERY]:
        gray = block.astype(np.float64) if block.ndim == 2 else block.mean(-1)
        if min(gray.shape) < 2:
            continue
        twice = gray[:-1, :-1] - gray[1:, :-1] - gray[:-1, 1:] + gray[1:, 1:]
        size = np.sort(np.abs(twice), axis=None)
        most = size[int(0.95 * (len(size) - 1))]
        found.append(float(np.sqrt(np.mean(np.minimum(size, most) ** 2))) / (2 * 0.956))
    return float(np.median(found)) if found else 0.0
