"""Slides of MIRAX, Hamamatsu VMS, Sakura and Ventana, read by openslide (`pip install "linnet[slides]"`).

Aperio SVS and Hamamatsu NDPI are TIFFs, which need no further package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.errors import ImageError
from linnet.nuclei.read.formats import SLIDES
from linnet.nuclei.read.pixel_size import square_side
from linnet.nuclei.read.tiff import OpenedTiff
from linnet.nuclei.read.tiff_axes import Layout, choose


class SlidePlane:
    """The largest level of a slide, read by rectangle; the slide stays open.

    Args:
        slide: openslide's slide.
    """

    def __init__(self, slide: Any) -> None:
        width, height = slide.dimensions
        self.shape: tuple[int, ...] = (height, width, 3)
        self.dtype = np.dtype(np.uint8)
        self._slide = slide
        ground = str(slide.properties.get("openslide.background-color", "FFFFFF"))
        self._ground = np.array([int(ground[k : k + 2], 16) for k in (0, 2, 4)], dtype=np.float32)

    def read(self, y: slice, x: slice) -> NDArray[np.generic]:
        """(h, w, 3) values of rows `y` and columns `x`; what was never scanned has the colour of the slide's ground."""
        part = np.asarray(self._slide.read_region((x.start, y.start), 0, (x.stop - x.start, y.stop - y.start)))
        colours, seen = part[..., :3], part[..., 3:]
        if seen.min() == np.iinfo(np.uint8).max:
            return colours
        share = seen / np.float32(255)
        return np.rint(colours * share + self._ground * (1 - share)).astype(np.uint8)


def open_slide(path: Path, *, page: int | None, channel: int | str | None) -> OpenedTiff:
    """The largest level of a slide; thumbnail, label and macro photograph are left out.

    Raises:
        ImageError: openslide isn't installed or doesn't know the file, or there is no such page or channel.
    """
    slide = _opened(path)
    plane = SlidePlane(slide)
    layout = _layout(plane)
    choice = choose(str(path), [layout], page=page, channel=channel)
    sides = (_number(slide.properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    return OpenedTiff(plane, layout, choice, square_side(str(path), *sides))


def slide_layout(path: Path) -> Layout:
    """The axes of a slide."""
    return _layout(SlidePlane(_opened(path)))


def _opened(path: Path) -> Any:
    what = SLIDES[path.suffix.lower()]
    try:
        import openslide  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImageError(
            f'{path}: this is {what}, which needs the package openslide: pip install "linnet[slides]"; or export the '
            "image as TIFF."
        ) from None
    if openslide.OpenSlide.detect_format(path) is None:
        beside = f" Its other files must lie beside it, in a folder `{path.stem}`." if path.suffix == ".mrxs" else ""
        raise ImageError(f"{path}: by its name this is {what}, but openslide can't read it as one.{beside}")
    return openslide.OpenSlide(path)


def _layout(plane: SlidePlane) -> Layout:
    return Layout("YXS", plane.shape, color=True, dtype="uint8")


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else float("nan")
    except ValueError:
        return None
    return number if np.isfinite(number) and number > 0 else None
