"""The scale at which an image's nuclei have the size that the detector was trained for, found on samples of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy.spatial import KDTree

from linnet.errors import InputError
from linnet.nuclei.detector.sizes import REFERENCE_PX

SCALES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
_START = SCALES.index(1.0)
_SHARE = 0.04  # of the image's pixels that the sample of one scale may have
_SIDE = (160, 512)  # smallest and largest side of a sample in scaled pixels
_SEEN_SIDE = 224  # the smallest where the network gives diameters
_WHOLE = 0.19  # share of the image from which it is looked at as a whole: what is found there need not be found again
_READ = 768  # largest side of a sample in pixels of the image
_BLOCKS = 5  # the place of the samples is chosen among so many blocks along each axis
_BLOCK = 128  # pixels of a block's side, at most
_SAME_SIZE = 0.1  # pixel sizes that differ by no more than this share count as the same
_FEW = 5  # points below which a mean score says little
_BETTER = 0.02  # by so much another scale must be better than 1
_PRICE = 0.1  # of nuclei that are e times as large, or as far apart, as they should be
_SMALLER = 0.4  # logarithm by which diameters may be smaller without a price

# Where the network gives diameters; chosen on validation images of nuclei_dsb2018 and nuclei_tnbc shown at 1/3 to 3.
_SURE_POINTS, _SURE_SCORE, _SURE_PX = (
    10,
    0.54,
    (16.0, 28.0),
)  # so many, so high and so large: the image is right as it is
_RIGHT_PX = (16.0, 34.0)  # median diameters for which 1 is right unless another scale is much better
_MUCH_BETTER = 0.05
_SHRUNK = (0.25, 0.5)  # scales that show whether what is found at 1 are pieces of larger nuclei
_ENLARGED = 2.0  # the scale that is tried where nothing is found at those
_STEPS = 2  # from a scale to the one that the diameters found there ask for
_THERE = 0.4  # logarithm of a diameter over the right one below which there is no further step
# Enlarged, small nuclei are found more surely, but at the same size, and hardly three times as many. Chosen on the same
# images and on drawn ones of crowded tissue.
_MANY, _TIMES, _MUCH_SMALLER = 15, 3.0, 1.4  # points at 1; from so many times as many and so much smaller on: doubt
_CROWD, _SURER = 50, 0.07  # points at 1; with less than this added to their mean score, what is found there is pieces


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
        pieces: Whether what is found in the enlarged image may be pieces of nuclei.
    """

    scale: float
    sure: bool
    merit: float = field(default=-math.inf, compare=False)
    pieces: bool = field(default=False, compare=False)


def find_scale(find: Find, image: Any, spacing_px: float, spread: Callable[[np.ndarray], float]) -> Choice:
    """The scale at which nuclei have the size that the detector was trained for.

    Where the network gives diameters, they lead: those at scale 1 if its points are many, sure and of the right size;
    else those of the surest of 1, 0.5 and 0.25 say which scale to go to, and what is found there whether to go on. Of
    the scales looked at the one with the highest merit is chosen, and 1 unless another one is clearly better. Where a
    scale above 1 has several times as many and much smaller points as 1 has, and hardly surer ones, those above 1 are
    passed over.

    The merit of a scale is the mean score of its points, less a price on nuclei that are larger than the reference
    diameter or much smaller; where the network gives no diameters, on points that lie farther apart than nuclei do at
    the right scale. There it alone decides: all scales up to 1.4 are looked at, and the larger ones only when 1.4 is
    the best, or when nothing was found at any of those.

    Args:
        find: Runs the detector on a part at a scale. A small image is given as a whole.
        image: (h, w) or (h, w, c); only samples of it are read.
        spacing_px: Median distance of a nucleus to the nearest other one at the right scale.
        spread: Contrast of a block of pixels; the samples lie where it is greatest.

    Source:
        Ours; grid, price, margins and bounds were chosen on validation images of nuclei_dsb2018 and nuclei_tnbc.
    """
    looks = _Looks(find, image, spacing_px, spread)
    first = looks.found(1.0)
    best, merit = _by_merit(looks) if first.diameters_px is None else _by_diameter(looks)
    return Choice(best if merit > -math.inf else 1.0, merit > -math.inf, merit, looks.pieces)


def named_scale(
    reference_px: float,
    pixel_size_um: float | None,
    trained_um: float | None,
    *,
    diameter_px: float | Literal["auto"] | None,
    diameter_um: float | None,
    scale: float | None,
) -> float | None:
    """The scale that the options of a search name, or None where it must be found.

    Args:
        reference_px: Diameter that nuclei have after scaling.
        pixel_size_um: Side of a pixel of the image in micrometres, where it is known.
        trained_um: The same of the images that the detector was trained on.
        diameter_px: As in a search.
        diameter_um: The same in micrometres.
        scale: Factor by which the image is resized.

    Raises:
        InputError: more than one was given, or it is out of range.
    """
    named = {"diameter_px": diameter_px, "diameter_um": diameter_um, "scale": scale}
    given = {k: v for k, v in named.items() if v is not None and not isinstance(v, str)}
    if len(given) > 1:
        both = ", ".join(f"`{k}` ({v})" for k, v in given.items())
        raise InputError(f"Both {both} were given; give only one of them.")
    if isinstance(diameter_px, str) and diameter_px != "auto":
        raise InputError(f"`diameter_px` must be 'auto' or a number of pixels (got {diameter_px!r}).")
    if not given:
        if trained_um is not None and pixel_size_um is not None:
            ratio = pixel_size_um / trained_um
            return ratio if abs(ratio - 1) > _SAME_SIZE else 1.0
        return None if diameter_px == "auto" else 1.0
    ((name, value),) = given.items()
    if name == "diameter_um" and pixel_size_um is None:
        raise InputError(f"`diameter_um` ({value}) needs the pixel size: give `pixel_size_um` too.")
    pixels = value / pixel_size_um if name == "diameter_um" and pixel_size_um else value
    factor = pixels if name == "scale" else reference_px / pixels if pixels else math.inf
    if not 1 / 64 <= factor <= 64:
        raise InputError(
            f"`{name}` = {value} would resize the image by {factor}; the factor must lie between 1/64 and 64."
        )
    return float(factor)


def agreed_scale(choices: Sequence[Choice]) -> float:
    """The middle one of the scales of images that were taken alike; those without nuclei don't vote."""
    votes = sorted(choice.scale for choice in choices if choice.sure)
    return votes[(len(votes) - 1) // 2] if votes else 1.0


class _Looks:
    """What is found at each scale that was looked at; each is looked at once."""

    def __init__(self, find: Find, image: Any, spacing_px: float, spread: Callable[[np.ndarray], float]) -> None:
        self._find, self._image, self._spacing_px, self._spread = find, image, spacing_px, spread
        self._pixels = image.shape[0] * image.shape[1]
        self._known: dict[tuple[float, bool], Found] = {}
        self._window: dict[float, np.ndarray] = {}
        self.pieces = False

    @cached_property
    def _centre(self) -> tuple[float, float]:
        return _richest(self._image, self._spread)

    @property
    def scales(self) -> list[float]:
        """Those looked at, more than by a sample, that have points enough to judge by."""
        enough = [s for (s, sample), found in self._known.items() if not sample and len(found.score) >= _FEW]
        self.pieces = self.pieces or any(self._in_doubt(scale) for scale in enough)
        largest = 1.0 if any(self._in_doubt(scale, sure=True) for scale in enough) else math.inf
        return [scale for scale in enough if scale <= largest]

    def found(self, scale: float, *, sample: bool = False) -> Found:
        """What is found at a scale, in the whole of a small image unless a sample is enough."""
        if (scale, sample) not in self._known:
            whole = not sample and _WHOLE * self._pixels <= _SEEN_SIDE**2
            least = _SIDE[0] if sample else _SEEN_SIDE
            side = float(np.clip(math.sqrt(_SHARE * self._pixels), least, _SIDE[1])) / scale
            window = _whole(self._image) if whole else _around(self._image, self._centre, side)
            if not sample:
                self._window[scale] = window
            (top, bottom), (left, right) = window
            self._known[scale, sample] = self._find(np.asarray(self._image[top:bottom, left:right]), scale)
        return self._known[scale, sample]

    def _in_doubt(self, scale: float, *, sure: bool = False) -> bool:
        """Whether what is found there is much smaller and much more than what is found in the same place at 1."""
        plain = self._known.get((1.0, False))
        if scale <= 1 or plain is None or plain.diameters_px is None:
            return False
        window, there = self._window[scale] - self._window[1.0][:, :1], self._known[scale, False]
        inside = np.all((plain.points >= window[:, 0]) & (plain.points < window[:, 1]), axis=1)
        many = int(inside.sum())
        if many < (_CROWD if sure else _MANY) or len(there.score) < _TIMES * many:
            return False
        if sure and float(there.score.mean()) > float(plain.score.mean()) + _SURER:
            return False
        return float(np.median(plain.diameters_px[inside])) > _MUCH_SMALLER * self.diameter_px(scale)

    def merit(self, scale: float, *, sample: bool = False) -> float:
        """Of what is found there."""
        return _merit(self.found(scale, sample=sample), scale, self._spacing_px)

    def diameter_px(self, scale: float) -> float:
        """Median diameter of what is found there, in pixels of the image."""
        return _median_px(self.found(scale))


def _by_merit(looks: _Looks) -> tuple[float, float]:
    """The best of all scales up to 1.4, and uphill from there, and its merit."""

    def merit(k: int) -> float:
        return looks.merit(SCALES[k], sample=True)

    most = _START + 1
    best = max(range(most + 1), key=merit)
    if merit(best) == -math.inf:
        best = max(range(len(SCALES)), key=merit)
    else:
        while best == most and best + 1 < len(SCALES) and merit(best + 1) > merit(best):
            best, most = best + 1, most + 1
    best = _START if merit(_START) > merit(best) - _BETTER else best
    return SCALES[best], merit(best)


def _by_diameter(looks: _Looks) -> tuple[float, float]:
    """The scale that the diameters lead to, and its merit; 1 where there are too few points at any."""
    best = _led(looks)
    return best, looks.merit(best)


def _led(looks: _Looks) -> float:
    if _sure(looks.found(1.0)):
        return 1.0
    for scale in _SHRUNK:
        looks.found(scale)
    if not looks.scales:
        few = looks.found(_ENLARGED, sample=True)  # a part of it is enough to see how small the nuclei are
        if len(few.score) < _FEW:
            return 1.0
        _follow(looks, _median_px(few))
        return max(looks.scales, key=looks.merit, default=1.0)
    start = max(looks.scales, key=lambda scale: looks.merit(scale) + _BETTER * (scale == 1.0))
    wanted = looks.diameter_px(start)
    if _within(wanted, _RIGHT_PX):
        return 1.0
    _follow(looks, wanted)
    best = max(looks.scales, key=looks.merit)
    margin = _MUCH_BETTER if _within(looks.diameter_px(best), _RIGHT_PX) else _BETTER
    return 1.0 if looks.merit(1.0) > looks.merit(best) - margin else best


def _follow(looks: _Looks, diameter_px: float) -> None:
    """Looks at the scale that a diameter asks for, and at that which the diameters found there ask for."""
    for _ in range(_STEPS):
        scale = _scale_for(diameter_px)
        before = len(looks.scales)
        looks.found(scale)
        if len(looks.scales) == before:  # seen before, or too few points
            return
        diameter_px = looks.diameter_px(scale)
        if abs(math.log(diameter_px * scale / REFERENCE_PX)) < _THERE:
            return


def _scale_for(diameter_px: float) -> float:
    """Of SCALES that which brings a diameter nearest to the reference."""
    return min(SCALES, key=lambda scale: abs(math.log(scale * diameter_px / REFERENCE_PX)))


def _sure(found: Found) -> bool:
    """Whether the points at scale 1 are many, sure and of the right size."""
    if len(found.score) < _SURE_POINTS:
        return False
    return float(found.score.mean()) >= _SURE_SCORE and _within(_median_px(found), _SURE_PX)


def _median_px(found: Found) -> float:
    """Of the diameters, for a network that gives them."""
    assert found.diameters_px is not None
    return float(np.median(found.diameters_px))


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _merit(found: Found, scale: float, spacing_px: float) -> float:
    if len(found.score) < _FEW:
        return -math.inf
    if found.diameters_px is None:
        points = found.points * scale
        too_large = math.log(float(np.median(KDTree(points).query(points, 2)[0][:, 1])) / spacing_px)
        return float(found.score.mean()) - _PRICE * max(0.0, too_large)
    too_large = math.log(_median_px(found) * scale / REFERENCE_PX)
    return float(found.score.mean()) - _PRICE * max(0.0, too_large, -too_large - _SMALLER)


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


def _whole(image: Any) -> np.ndarray:
    return np.array([[0, size] for size in image.shape[:2]])


def _around(image: Any, centre: tuple[float, float], side: float) -> np.ndarray:
    """First row and the one past the last, and the same of columns: at most `side` pixels about a place."""
    side, spans = min(side, _READ), []
    for middle, size in zip(centre, image.shape[:2], strict=True):
        length = min(size, max(1, round(side)))
        low = min(max(0, round(middle - length / 2)), size - length)
        spans.append((low, low + length))
    return np.array(spans)
