"""The network's map over an image of any size, tile by tile, equal to the map of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from linnet.nuclei.detector.brightness import OUTSIDE, Range, without_hot_pixels
from linnet.nuclei.detector.resample import axis_weights, resize_window, scaled_size

Box = tuple[tuple[int, int], tuple[int, int]]
"""((y0, y1), (x0, x1)), half open, in scaled pixels of the picture; the frame around it has negative positions too."""


@dataclass(frozen=True)
class Tile:
    """One piece of the framed picture; all bounds are multiples of the network's period.

    Attributes:
        core: Cores cover the framed picture once; a peak belongs to the tile whose core holds its cell.
        window: The core with its halo, cut at the frame.
    """

    core: Box
    window: Box


@dataclass(frozen=True)
class Plane:
    """A picture as the network sees it: scaled, normalised over the whole image, in a frame of one period.

    The frame has brightness OUTSIDE, as in training, and is widened at the far sides so that its size is a multiple of
    the period. Inside it a tile never pads, so tiles and the whole picture see the same.

    Attributes:
        image: (h, w) or (h, w, c) pixels; anything with shape, dtype and slicing.
        range: Brightness range of the whole image.
        scale: Scaled pixels per image pixel.
        period: Total stride of the network.
    """

    image: np.ndarray
    range: Range
    scale: float
    period: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the scaled picture."""
        return scaled_size(self.image.shape[0], self.scale), scaled_size(self.image.shape[1], self.scale)

    @property
    def frame(self) -> Box:
        """The picture with its frame."""
        height, width = self.size
        p = self.period
        return (-p, height + p + -height % p), (-p, width + p + -width % p)

    def tiles(self, side: int | None, halo: int) -> Iterator[Tile]:
        """Tiles whose cores have `side` pixels (rounded up to the period), row by row; None: one tile, the whole."""
        (top, bottom), (left, right) = self.frame
        side = max(bottom - top, right - left) if side is None else side + -side % self.period
        for y in range(top, bottom, side):
            for x in range(left, right, side):
                core = ((y, min(y + side, bottom)), (x, min(x + side, right)))
                rows, columns = (
                    (max(low, a - halo), min(high, b + halo))
                    for (a, b), (low, high) in zip(core, self.frame, strict=True)
                )
                yield Tile(core, (rows, columns))

    def read(self, window: Box) -> np.ndarray:
        """float32 (3, h, w): normalised pixels of a window, OUTSIDE around the picture; gray fills three channels."""
        (y0, y1), (x0, x1) = window
        inside = tuple((max(0, a), min(b, size)) for (a, b), size in zip(window, self.size, strict=True))
        out = np.full((3, y1 - y0, x1 - x0), OUTSIDE, dtype=np.float32)
        (top, bottom), (left, right) = inside
        if top < bottom and left < right:
            pixels = self._picture((top, bottom), (left, right))
            planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels[..., :3], -1, 0)
            out[:, top - y0 : bottom - y0, left - x0 : right - x0] = planes
        return out

    def _picture(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Normalised pixels of a part of the scaled picture."""
        if self.scale == 1:
            return self._clean(rows, columns)
        down, y0, y1 = axis_weights(self.image.shape[0], self.scale, *rows)
        across, x0, x1 = axis_weights(self.image.shape[1], self.scale, *columns)
        return resize_window(self._clean((y0, y1), (x0, x1)), down, across)

    def _clean(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Normalised pixels of a part of the image, without its hot pixels.

        One pixel more is read on each side, so that a pixel has the same neighbours in every tile.
        """
        (y0, y1), (x0, x1) = rows, columns
        top, left = max(0, y0 - 1), max(0, x0 - 1)
        pixels = without_hot_pixels(self.range.apply(np.asarray(self.image[top : y1 + 1, left : x1 + 1])))
        return pixels[y0 - top : y1 - top, x0 - left : x1 - left]
