"""TIFF and OME-TIFF: a plane that is read piece by piece, so that a picture may be larger than memory."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPage, TiffPageSeries

from linnet.errors import ImageError
from linnet.nuclei.read.pixel_size import imagej_channel_names, ome_channel_names, ome_image, pixel_size_um
from linnet.nuclei.read.png_jpeg import MAX_WHOLE_BYTES
from linnet.nuclei.read.small_images import shows_intensities
from linnet.nuclei.read.tiff_axes import Choice, Layout, choose
from linnet.nuclei.read.tiff_planes import ArrayPlane, ContiguousPlane, Plane, SegmentedPlane, cut_off

_ALPHA = {1, 2}
_COLOR = {2, 6, 8}  # photometric interpretation: RGB, YCbCr (decoded to RGB), CIELab
_PALETTE, _CMYK = 3, 5


@dataclass(frozen=True)
class OpenedTiff:
    """A plane of a TIFF and what its metadata say about it."""

    plane: Plane
    layout: Layout
    choice: Choice
    pixel_size_um: float | None
    palette: NDArray[np.uint16] | None = None


def open_tiff(path: Path, *, page: int | None, channel: int | str | None) -> OpenedTiff:
    """Finds a plane and checks that its pieces can be in the file; decodes nothing.

    The file is closed again; the plane opens it for each read.

    Raises:
        ImageError: the page or channel isn't named or doesn't exist, or the header is implausible.
    """
    with TiffFile(path) as tiff:
        series, shown = tiff.series, _shown(path, tiff)
        layouts = [_layout(path, tiff, i) for i in shown]
        local = choose(str(path), layouts, page=page, channel=channel)
        layout, index = layouts[local.series], shown[local.series]
        plane = _plane(path, series[index], layout, local.plane)
        return OpenedTiff(plane, layout, local, pixel_size_um(tiff, index), _palette(series[index].keyframe))


def tiff_layouts(path: Path) -> list[Layout]:
    """The pictures of a TIFF, as `open_tiff` counts their pages."""
    with TiffFile(path) as tiff:
        return [_layout(path, tiff, i) for i in _shown(path, tiff)]


def _shown(path: Path, tiff: TiffFile) -> list[int]:
    """The series that are pictures: of a slide the slide, else all but thumbnails and masks."""
    series = tiff.series
    if not series:
        if _first_directory(tiff) >= tiff.filehandle.size:  # many programs write it last
            raise cut_off(path)
        raise ImageError(f"{path}: the TIFF holds no picture. Export it again.")
    if tiff.is_svs or tiff.is_ndpi:  # the others are its thumbnail, label and macro photograph
        return [0]
    main = [i for i, s in enumerate(series) if not (s.keyframe.subfiletype & 0b101)]
    return main or list(range(len(series)))


def _first_directory(tiff: TiffFile) -> int:
    """Where the header says that the description of the first picture lies."""
    tiff.filehandle.seek(8 if tiff.is_bigtiff else 4)
    stored = tiff.filehandle.read(tiff.tiff.offsetsize)
    return int.from_bytes(stored, "little" if tiff.byteorder == "<" else "big")


def _layout(path: Path, tiff: TiffFile, index: int) -> Layout:
    series = tiff.series[index]
    page = series.keyframe
    axes, shape = series.get_axes(False), series.get_shape(False)
    kept = [(a, n) for a, n in zip(axes, shape, strict=True) if a in "YX" or n != 1]
    axes, shape = "".join(a for a, _ in kept), tuple(n for _, n in kept)
    size = dict(kept)
    if "Y" not in size or "X" not in size:
        raise ImageError(f"{path}: this TIFF has the axes {axes}; a picture needs Y and X. Export it as a plain image.")
    if 0 in shape:
        raise ImageError(
            f"{path}: the image is {size['X']} x {size['Y']} pixels, so there is nothing to read. Export it again."
        )
    if page.photometric == _CMYK:
        raise ImageError(f"{path}: this TIFF is in printing colours (CMYK). Convert it to RGB and save it again.")
    samples = size.get("S", 1)
    color = page.photometric in _COLOR and samples >= 3
    extra = tuple(page.extrasamples or ())
    first = 3 if color else 1
    alpha = 1 if samples == first + 1 and (color or (extra and int(extra[0]) in _ALPHA)) else 0
    image = ome_image(tiff, index)
    return Layout(
        axes=axes,
        shape=shape,
        color=color and samples - alpha == 3,
        alpha=alpha,
        channel_names=imagej_channel_names(tiff, size.get("C", 1)) if image is None else ome_channel_names(image),
        dtype=str(series.dtype),
    )


def _plane(path: Path, series: TiffPageSeries, layout: Layout, index: int) -> Plane:
    page = series.keyframe
    if page.imagedepth > 1 or layout.axes.replace("S", "")[-2:] != "YX" or page.axes not in ("YX", "YXS", "SYX"):
        return _from_memory(path, series, layout, index)
    h, w, samples = layout.size("Y"), layout.size("X"), layout.size("S")
    if series.dataoffset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(page.parent.byteorder)
        start = series.dataoffset + index * h * w * samples * dtype.itemsize
        stored_in = Path(page.parent.filehandle.path)
        if start + h * w * samples * dtype.itemsize > stored_in.stat().st_size:
            raise cut_off(path)
        return ContiguousPlane(stored_in, start, (h, w, samples), dtype, planar=page.axes == "SYX")
    stored = series.pages[index] if index < len(series.pages) else None
    if stored is None:
        raise ImageError(
            f"{path}: this page lies in another file of the same set, which is missing. Copy the whole set."
        )
    if stored.keyframe is None or (stored.keyframe.imagelength, stored.keyframe.imagewidth) != (h, w):
        raise ImageError(f"{path}: its pages differ from what its metadata say. It is damaged; export it again.")
    return SegmentedPlane(stored)


def _from_memory(path: Path, series: TiffPageSeries, layout: Layout, index: int) -> ArrayPlane:
    """Layouts that are rare (axes in another order, volumes in one page): the whole series is read."""
    if math.prod(layout.shape) * np.dtype(series.dtype).itemsize > MAX_WHOLE_BYTES:
        raise ImageError(
            f"{path}: its axes are {layout.axes} with {'x'.join(map(str, layout.shape))}, too large to read at once. "
            "Save it as a TIFF with a page per plane."
        )
    array = series.asarray().reshape(layout.shape)
    leading = [i for i, a in enumerate(layout.axes) if a not in "YXS"]
    last = [layout.axes.index(a) for a in "YXS" if a in layout.axes]
    planes = array.transpose(leading + last).reshape(-1, layout.size("Y"), layout.size("X"), layout.size("S"))
    return ArrayPlane(planes[index])


def _palette(page: TiffPage) -> NDArray[np.uint16] | None:
    """(values, 3) of a picture in indexed colours; None where the map shows intensities."""
    if page.photometric != _PALETTE or page.colormap is None:
        return None
    colors = np.asarray(page.colormap).T
    return None if colors.ndim != 2 or colors.shape[1] != 3 or shows_intensities(colors) else colors
