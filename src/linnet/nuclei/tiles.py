"""The network's map over an image of any size, tile by tile, equal to the map of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from linnet.nuclei.normalise import Range
from linnet.nuclei.resample import axis_weights, resize_window, scaled_size


@dataclass(frozen=True)
class Tile:
    """One piece of the (scaled, padded) image, in scaled pixels.

    Attributes:
        core: ((y0, y1), (x0, x1)) half open; cores cover the image once; a peak belongs to the
            tile whose core holds its cell.
        window: The core with its halo, cut at the borders of the padded image; bounds are multiples of the period.
    """

    core: tuple[tuple[int, int], tuple[int, int]]
    window: tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Plane:
    """An image seen by the network: scaled, normalised over the whole image, padded to a multiple of the period.

    Padding repeats the outermost pixels, once, at the far sides; inside the image a tile never pads.

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
        """(height, width) after scaling, before padding."""
        return scaled_size(self.image.shape[0], self.scale), scaled_size(self.image.shape[1], self.scale)

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) after padding."""
        height, width = self.size
        return height + -height % self.period, width + -width % self.period

    def tiles(self, side: int | None, halo: int) -> Iterator[Tile]:
        """Tiles whose cores have `side` pixels (rounded up to the period), row by row; None: one tile, the whole."""
        height, width = self.padded
        side = max(height, width) if side is None else side + -side % self.period
        for y in range(0, height, side):
            for x in range(0, width, side):
                core = ((y, min(y + side, height)), (x, min(x + side, width)))
                window = tuple(
                    (max(0, a - halo), min(limit, b + halo)) for (a, b), limit in zip(core, self.padded, strict=True)
                )
                yield Tile(core, (window[0], window[1]))

    def read(self, window: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
        """float32 (3, h, w): normalised pixels of a window; gray is copied to three channels."""
        pixels = self._read_as_is(window) if self.scale == 1 else self._read_scaled(window)
        if pixels.ndim == 2:
            return np.broadcast_to(pixels, (3, *pixels.shape))
        return np.moveaxis(pixels[..., :3], -1, 0)

    def _read_as_is(self, window: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
        (y0, y1), (x0, x1) = window
        height, width = self.size
        inside = np.asarray(self.image[y0 : min(y1, height), x0 : min(x1, width)])
        pixels = self.range.apply(inside)
        beyond = ((0, y1 - min(y1, height)), (0, x1 - min(x1, width)))
        if beyond == ((0, 0), (0, 0)):
            return pixels
        return np.pad(pixels, (*beyond, (0, 0))[: pixels.ndim], mode="edge")

    def _read_scaled(self, window: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
        (rows, y0, y1), (columns, x0, x1) = (self._weights(axis, *window[axis]) for axis in (0, 1))
        return resize_window(self.range.apply(np.asarray(self.image[y0:y1, x0:x1])), rows, columns)

    def _weights(self, axis: int, start: int, stop: int) -> tuple[csr_matrix, int, int]:
        """Weights of one axis; output pixels beyond the scaled image repeat its last one."""
        size = self.size[axis]
        weights, low, high = axis_weights(self.image.shape[axis], self.scale, start, min(stop, size))
        if stop > size:
            repeat = np.minimum(np.arange(stop - start), size - start - 1)
            weights = weights[repeat]
        return csr_matrix(weights), low, high
