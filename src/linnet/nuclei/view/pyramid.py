"""A picture in tiles of any zoom level, made when they are asked for."""

import io
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linnet.errors import ImageError
from linnet.nuclei.batch.thumbnail import averaged, brightness_of, to_bytes
from linnet.nuclei.read.images import open_picture
from linnet.nuclei.view.results import FoundImage

TILE = 256  # pixels of a tile's side
_OVERVIEW = 2048  # longest side of the picture that coarse levels are cut from
_KEPT = 4  # pictures that stay open
_MOST_CHANNELS = 16


class Pyramid:
    """Tiles of one picture; level k is averaged over squares of 2^k pixels.

    Args:
        pixels: (h, w) or (h, w, 3), or anything with shape, dtype and slicing.
    """

    def __init__(self, pixels: Any) -> None:
        self._pixels = pixels
        self.shape: tuple[int, int] = (int(pixels.shape[0]), int(pixels.shape[1]))
        self.color = len(pixels.shape) == 3
        self.levels = max(0, int(np.ceil(np.log2(max(self.shape) / TILE)))) + 1 if max(self.shape) > TILE else 1
        self._from = max(0, int(np.ceil(np.log2(max(self.shape) / _OVERVIEW))))
        self._overview = averaged(pixels, 2**self._from)
        self._natural = self.color and np.dtype(pixels.dtype) == np.uint8
        self._range = brightness_of(self._overview)

    def tile(self, level: int, row: int, column: int, channel: int | None = None) -> bytes:
        """One tile as JPEG, of at most 256 x 256 pixels.

        Raises:
            ImageError: there is no such tile or channel.
        """
        side = TILE * 2**level
        y, x = row * side, column * side
        if not 0 <= level < self.levels or not (0 <= y < self.shape[0] and 0 <= x < self.shape[1]):
            raise ImageError(f"There is no tile {level}/{row}/{column}; the picture has {self.levels} levels.")
        if channel is not None and not (self.color and 0 <= channel < 3):
            raise ImageError(f"There is no channel {channel} in this picture.")
        part = self._part(level, y, x, side)
        shown = to_bytes(part, self._range, natural=self._natural)
        if channel is not None:
            shown = shown[..., channel]
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(shown)).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    def _part(self, level: int, y: int, x: int, side: int) -> NDArray[np.generic]:
        if level >= self._from:
            scale = 2**self._from
            cut = self._overview[y // scale : (y + side) // scale, x // scale : (x + side) // scale]
            return averaged(cut, 2 ** (level - self._from))
        return averaged(np.asarray(self._pixels[y : y + side, x : x + side]), 2**level)


class Pyramids:
    """The pictures that were looked at last; safe to ask from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, Any], Pyramid] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, image: FoundImage, channel: int | None = None) -> Pyramid:
        """The picture as it was searched, or another channel of a file with several.

        Raises:
            ImageError: the file is gone, or can't be read.
        """
        key = (image.stem, channel)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            options = dict(image.options) if channel is None else {**image.options, "channel": channel}
            pyramid = Pyramid(open_picture(image.path, **options).pixels)
            self._kept[key] = pyramid
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return pyramid

    def channels(self, image: FoundImage) -> list[str]:
        """Names of what can be shown besides the picture as it was searched."""
        if self.of(image).color:
            return ["red", "green", "blue"]
        if "channel" not in image.options:
            return []
        names = []
        for channel in range(_MOST_CHANNELS):
            try:
                open_picture(image.path, **{**image.options, "channel": channel})
            except ImageError:
                break
            names.append(f"channel {channel}")
        return names
