"""A picture as the detector looks at it: without its padding, as gray or stain, with its range of brightness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from linnet.nuclei.detector.brightness import Range
from linnet.nuclei.detector.colour import Modality, nuclear_view
from linnet.nuclei.detector.robust import robust_range
from linnet.nuclei.detector.sample import sample_blocks

Polarity = Literal["auto", "bright", "dark"]

_LEAST = 32  # pixels of a picture's side inside its padding
_ALIKE = 0.02  # share of the picture that may have the padding's value
_DARK = 0.4  # normalised brightness below which the middle of a gray picture is dark ground


@dataclass(frozen=True)
class Prepared:
    """What is searched, and how.

    Attributes:
        image: (h, w) or (h, w, 3): the picture without padding, one channel of it, or all.
        range: Its brightness.
        origin: Where it begins in the picture that was given, (y, x).
        sign: 1 where nuclei are brighter than their surroundings, -1 where they are darker, 0 where either may be.
        word: What a person should know about the choice; empty when there is nothing.
    """

    image: Any
    range: Range
    origin: tuple[int, int]
    sign: int
    word: str


def prepare(image: Any, modality: Modality, polarity: Polarity, merit: Callable[[Any], float]) -> Prepared:
    """Decides once for a whole picture how it is looked at.

    Args:
        image: (h, w), (h, w, 3) or (h, w, 4); anything with shape, dtype and slicing.
        modality: What the picture is.
        polarity: Whether nuclei are bright or dark.
        merit: How surely nuclei are found in a gray picture.

    Raises:
        ImageError: as for `brightness_range`.
    """
    inner, origin = without_padding(image)
    view, ground, word = nuclear_view(inner, modality, merit)
    known = robust_range(view)
    if polarity != "auto":
        sign = 1 if polarity == "bright" else -1
    elif modality == "brightfield":
        sign = 0
    else:
        sign = int(modality == "fluorescence" or ground == "dark" or (len(view.shape) == 2 and _is_dark(view, known)))
    return Prepared(view, known, origin, sign, word)


def without_padding(image: Any) -> tuple[Any, tuple[int, int]]:
    """The picture without rows and columns of one constant value along its borders, and where it begins.

    Only what is clearly padding goes: the picture inside is at least 32 pixels wide and hardly has that value.
    """
    height, width = image.shape[:2]
    corner = np.asarray(image[0:1, 0:1])[0, 0]
    top, bottom = _constant(image, corner, height, axis=0)
    left, right = _constant(image, corner, width, axis=1)
    rows, columns = (top, height - bottom), (left, width - right)
    if rows == (0, height) and columns == (0, width):
        far = np.asarray(image[height - 1 : height, width - 1 : width])[0, 0]
        if np.array_equal(far, corner):
            return image, (0, 0)
        top, bottom = _constant(image, far, height, axis=0)
        left, right = _constant(image, far, width, axis=1)
        rows, columns, corner = (top, height - bottom), (left, width - right), far
    if rows[1] - rows[0] < _LEAST or columns[1] - columns[0] < _LEAST:
        return image, (0, 0)
    if rows == (0, height) and columns == (0, width):
        return image, (0, 0)
    inner = Part(image, rows, columns)
    alike = [_share(block, corner) for block in sample_blocks(inner)]
    return (inner, (rows[0], columns[0])) if np.mean(alike) < _ALIKE else (image, (0, 0))


class Part:
    """A rectangle of a picture; looks like a picture and is read by slices.

    Args:
        image: Anything with shape, dtype and slicing.
        rows: First row and the one past the last.
        columns: The same along x.
    """

    def __init__(self, image: Any, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        self._image, self._rows, self._columns = image, rows, columns
        self.shape: tuple[int, ...] = (rows[1] - rows[0], columns[1] - columns[0], *image.shape[2:])
        self.dtype = np.dtype(image.dtype)

    def __getitem__(self, where: Any) -> np.ndarray:
        """The pixels of a part, given by slices along y and x."""
        rows, columns = (*(where if isinstance(where, tuple) else (where,)), slice(None))[:2]
        y = slice(*(self._rows[0] + v for v in rows.indices(self.shape[0])[:2]))
        x = slice(*(self._columns[0] + v for v in columns.indices(self.shape[1])[:2]))
        return np.asarray(self._image[y, x])


def _constant(image: Any, value: np.ndarray, size: int, *, axis: int) -> tuple[int, int]:
    """Numbers of rows or columns at the beginning and at the end that have the value everywhere."""

    def is_padding(k: int) -> bool:
        line = image[k : k + 1] if axis == 0 else image[:, k : k + 1]
        return bool((np.asarray(line) == value).all())

    first = next((k for k in range(size) if not is_padding(k)), size)
    last = next((k for k in range(size - first) if not is_padding(size - 1 - k)), 0)
    return first, last


def _share(block: np.ndarray, value: np.ndarray) -> float:
    same = block == value[..., : block.shape[-1]] if block.ndim == 3 else block == value
    return float((same.all(-1) if same.ndim == 3 else same).mean())


def _is_dark(view: Any, known: Range) -> bool:
    if known.constant:
        return False
    values = np.concatenate([block[::4, ::4].reshape(-1) for block in sample_blocks(view)])
    return float((np.median(values) - known.low) / (known.high - known.low)) < _DARK
