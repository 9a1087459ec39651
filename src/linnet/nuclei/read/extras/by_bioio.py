"""Zeiss CZI, Nikon ND2 and Leica LIF, read by bioio and its plug-ins (`pip install "linnet[formats]"`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.errors import ImageError
from linnet.nuclei.read.formats import image_format
from linnet.nuclei.read.pixel_size import square_side
from linnet.nuclei.read.tiff import OpenedTiff
from linnet.nuclei.read.tiff_axes import Layout, choose

BY_BIOIO = {"czi": "a Zeiss CZI file", "nd2": "a Nikon ND2 file", "lif": "a Leica LIF file"}
"""Kinds of file, with the name that a person knows them by."""

_AXES = "TCZYX"


class BioioPlane:
    """One plane of a scene, read by rectangle.

    Args:
        image: bioio's image.
        scene: Which picture of the file.
        layout: Its axes.
        index: Of the plane over all axes but Y, X and S.
    """

    def __init__(self, image: Any, scene: int, layout: Layout, index: int) -> None:
        self.shape: tuple[int, ...] = (layout.size("Y"), layout.size("X"), layout.size("S"))
        self.dtype = np.dtype(layout.dtype)
        before = [axis for axis in layout.axes if axis not in "YXS"]
        at = np.unravel_index(index, [layout.size(axis) for axis in before]) if before else ()
        self._image, self._scene = image, scene
        self._at = {axis: int(k) for axis, k in zip(before, at, strict=True)}
        self._order = "YXS" if "S" in layout.axes else "YX"

    def read(self, y: slice, x: slice) -> NDArray[np.generic]:
        """(h, w, samples) values of rows `y` and columns `x`."""
        self._image.set_scene(self._scene)
        part = self._image.get_image_dask_data(self._order, **self._at)[y, x]
        return np.asarray(part.compute()).reshape(y.stop - y.start, x.stop - x.start, self.shape[2])


def open_by_bioio(path: Path, *, page: int | None, channel: int | str | None) -> OpenedTiff:
    """A plane of a file; scenes count as pages, as positions of the stage and tiles of a tile scan do.

    Raises:
        ImageError: the reader isn't installed, or the page or channel isn't named or doesn't exist.
    """
    image = _image(path)
    layouts = _layouts(image)
    choice = choose(str(path), layouts, page=page, channel=channel)
    layout = layouts[choice.series]
    image.set_scene(choice.series)
    sizes = image.physical_pixel_sizes
    plane = BioioPlane(image, choice.series, layout, choice.plane)
    return OpenedTiff(plane, layout, choice, square_side(str(path), _known(sizes.X), _known(sizes.Y)))


def bioio_layouts(path: Path) -> list[Layout]:
    """The scenes of a file."""
    return _layouts(_image(path))


def _image(path: Path) -> Any:
    try:
        from bioio import BioImage  # pyright: ignore[reportMissingImports]
        from bioio_base.exceptions import UnsupportedFileFormatError  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise _missing(path) from None
    try:
        return BioImage(path)
    except UnsupportedFileFormatError:
        raise _missing(path) from None


def _missing(path: Path) -> ImageError:
    return ImageError(
        f"{path}: this is {BY_BIOIO[image_format(path)]}, and bioio's reader for it isn't installed. Run: pip install "
        '"linnet[formats]"; or export the image as TIFF (Fiji: File > Save As > Tiff).'
    )


def _layouts(image: Any) -> list[Layout]:
    found = []
    for scene in range(len(image.scenes)):
        image.set_scene(scene)
        size = dict(zip(image.dims.order, image.dims.shape, strict=True))
        axes = "".join(axis for axis in _AXES if axis in "YX" or size.get(axis, 1) > 1)
        color = size.get("S", 1) in (3, 4)
        found.append(
            Layout(
                axes + "S" * color,
                tuple(size[axis] for axis in axes + "S" * color),
                color=color,
                alpha=int(size.get("S", 1) == 4),
                channel_names=tuple(str(name) for name in image.channel_names or ()),
                dtype=str(np.dtype(image.dtype)),
            )
        )
    return found


def _known(side_um: float | None) -> float | None:
    return float(side_um) if side_um is not None and np.isfinite(side_um) and side_um > 0 else None
