"""The scale at which an image's nuclei have the size that the detector was trained for, found on samples of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from linnet.nuclei.detector.sizes import REFERENCE_PX

SCALES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
_START = SCALES.index(1.0)
_SHARE = 0.04  # of the image's pixels that the sample of one scale may have
_SIDE = (160, 512)  # smallest and largest side of a sample in scaled pixels
_READ = 768  # largest side of a sample in pixels of the image
_BLOCKS = 5  # the place of the samples is chosen among so many blocks along each axis
_BLOCK = 128  # pixels of a block's side, at most
_FEW = 5  # points below which a mean score says little
_BETTER = 0.02  # by so much another scale must be better than 1
_LARGE = 2 / 3  # of the reference diameter: nuclei above it are large enough
_PRICE = 0.1  # of nuclei that are e times as large, or as far apart, as they should be


@dataclass(frozen=True)
class Found:
    """Points (n, 2) in a picture's pixels, their scores, and their diameters where the network gives them."""

    points: np.ndarray
    score: np.ndarray
    diameters_px: np.ndarray | None = None


Find = Callable[[Any, float], Found]
"""(part of the image, scale) -> what is found in it, in pixels of that part."""


@dataclass(frozen=True)
class Choice:
    """A scale that was searched for.

    Attributes:
        scale: One of SCALES; 1 where nothing was found at any.
        sure: Whether enough points were found to judge by.
        merit: How sure the points at this scale are; -inf where they are too few.
    """

    scale: float
    sure: bool
    merit: float = field(default=-math.inf, compare=False)


def find_scale(find: Find, image: Any, spacing_px: float, spread: Callable[[np.ndarray], float]) -> Choice:
    """The scale whose points are the surest.

    The merit of a scale is the mean score of its points, less a price on nuclei that are larger than the reference
    diameter; where the network gives no diameters, on points that lie farther apart than nuclei do at the right
    scale. On validation images the mean score is highest where nuclei have about the size the detector was trained
    for and falls on both sides. Samples of a shrunk image are cheap, so all scales up to 1.4 are looked at, or up
    to 1 where the network gives diameters that are large enough; the larger ones only when 1.4 is the best, or when
    nothing was found at any of those. Another scale than 1 must be clearly better.

    Args:
        find: Runs the detector on a part at a scale.
        image: (h, w) or (h, w, c); only samples of it are read.
        spacing_px: Median distance of a nucleus to the nearest other one at the right scale.
        spread: Contrast of a block of pixels; the samples lie where it is greatest.

    Source:
        Ours; grid, price and margin were chosen on validation images of nuclei_dsb2018 and nuclei_tnbc.
    """
    height, width = image.shape[:2]
    side = float(np.clip(math.sqrt(_SHARE * height * width), *_SIDE))
    centre = _richest(image, spread)
    known: dict[int, Found] = {}

    def found(k: int) -> Found:
        if k not in known:
            known[k] = find(_around(image, centre, side / SCALES[k]), SCALES[k])
        return known[k]

    def merit(k: int) -> float:
        return _merit(found(k), SCALES[k], spacing_px)

    best = _climb(merit, most=_START + (not _large_enough(found(_START))))
    if merit(best) == -math.inf:
        return Choice(1.0, sure=False)
    if merit(_START) > merit(best) - _BETTER:
        best = _START
    return Choice(SCALES[best], sure=True, merit=merit(best))


def agreed_scale(choices: Sequence[Choice]) -> float:
    """The middle one of the scales of images that were taken alike; those without nuclei don't vote."""
    votes = sorted(choice.scale for choice in choices if choice.sure)
    return votes[(len(votes) - 1) // 2] if votes else 1.0


def _climb(merit: Callable[[int], float], *, most: int) -> int:
    """Index of the best scale: of all up to `most`, and uphill from there."""
    best = max(range(most + 1), key=merit)
    if merit(best) == -math.inf:
        return max(range(len(SCALES)), key=merit)
    while best == most > _START and best + 1 < len(SCALES) and merit(best + 1) > merit(best):
        best, most = best + 1, most + 1
    return best


def _large_enough(found: Found) -> bool:
    """Whether the nuclei are so large at scale 1 already that enlarging the image can't help."""
    if found.diameters_px is None or len(found.score) < _FEW:
        return False
    return float(np.median(found.diameters_px)) > _LARGE * REFERENCE_PX


def _merit(found: Found, scale: float, spacing_px: float) -> float:
    if len(found.score) < _FEW:
        return -math.inf
    points = found.points * scale
    if found.diameters_px is None:
        too_large = float(np.median(KDTree(points).query(points, 2)[0][:, 1])) / spacing_px
    else:
        too_large = float(np.median(found.diameters_px)) * scale / REFERENCE_PX
    return float(found.score.mean()) - _PRICE * math.log(max(1.0, too_large))


def _richest(image: Any, spread: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """Middle of the block with the greatest contrast; blocks are spread over the image, and only they are read."""
    places = []
    for size in image.shape[:2]:
        side = min(size, _BLOCK)
        count = min(_BLOCKS, -(-size // side))
        places.append([(round(low), side) for low in np.linspace(0, size - side, count)])
    blocks = [((y, h), (x, w)) for y, h in places[0] for x, w in places[1]]
    contrast = [spread(np.asarray(image[y : y + h, x : x + w])) for (y, h), (x, w) in blocks]
    (y, h), (x, w) = blocks[int(np.argmax(contrast))]
    return y + h / 2, x + w / 2


def _around(image: Any, centre: tuple[float, float], side: float) -> np.ndarray:
    """A part of the image of at most `side` pixels along each axis, about a place and within the image."""
    side, spans = min(side, _READ), []
    for middle, size in zip(centre, image.shape[:2], strict=True):
        length = min(size, max(1, round(side)))
        low = min(max(0, round(middle - length / 2)), size - length)
        spans.append(slice(low, low + length))
    return np.asarray(image[tuple(spans)])
