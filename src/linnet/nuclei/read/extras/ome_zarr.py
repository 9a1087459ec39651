"""OME-Zarr 0.1 to 0.5: a folder, or a zip of one, that holds an image at several sizes, in chunks."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.errors import ImageError
from linnet.nuclei.read.formats import ZARR_METADATA, zarr_root
from linnet.nuclei.read.pixel_size import micrometres, square_side
from linnet.nuclei.read.tiff import OpenedTiff
from linnet.nuclei.read.tiff_axes import Layout, choose

_OLD_AXES = "TCZYX"  # of the versions that don't name them
_SHOWN = 6


class ZarrPlane:
    """One plane of an array, read by rectangle; the chunks that it touches are decoded.

    Args:
        path: The folder or zip file.
        name: The array inside the group.
        shape: (h, w).
        dtype: Of its values.
        before: Index along each axis before y and x.
    """

    def __init__(
        self, path: Path, name: str, shape: tuple[int, int], dtype: np.dtype[Any], before: tuple[int, ...]
    ) -> None:
        self.shape: tuple[int, ...] = (*shape, 1)
        self.dtype = dtype.newbyteorder("=")
        self._path, self._name, self._before = path, name, before

    def read(self, y: slice, x: slice) -> NDArray[np.generic]:
        """(h, w, 1) values of rows `y` and columns `x`."""
        with _group(self._path) as group:
            return np.asarray(group[self._name][(*self._before, y, x)]).astype(self.dtype, copy=False)[..., None]


def open_zarr(path: Path, *, page: int | None, channel: int | str | None) -> OpenedTiff:
    """A plane of the largest size of an image; no chunk is decoded.

    Raises:
        ImageError: it holds no image or a whole plate, or the page or channel isn't named or doesn't exist.
    """
    with _group(path) as group:
        multiscale, metadata = _multiscale(path, group)
        name, layout, dtype = _array(path, group, multiscale, metadata)
    choice = choose(str(path), [layout], page=page, channel=channel)
    sizes = [layout.size(axis) for axis in layout.axes if axis not in "YX"]
    before = tuple(int(k) for k in np.unravel_index(choice.plane, sizes)) if sizes else ()
    plane = ZarrPlane(path, name, (layout.size("Y"), layout.size("X")), dtype, before)
    return OpenedTiff(plane, layout, choice, _pixel_size(path, multiscale, layout))


def zarr_layout(path: Path) -> Layout:
    """The axes of an image."""
    with _group(path) as group:
        multiscale, metadata = _multiscale(path, group)
        return _array(path, group, multiscale, metadata)[1]


def folder_digest(path: Path) -> Any:
    """SHA-256 over the names and sizes of a folder's files and the content of those that describe it."""
    digest = hashlib.sha256()
    for file in sorted(f for f in path.rglob("*") if f.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {file.stat().st_size}\n".encode())
        if file.name in (*ZARR_METADATA, ".zarray"):
            digest.update(file.read_bytes())
    return digest


@contextmanager
def _group(path: Path) -> Iterator[Any]:
    try:
        import zarr  # pyright: ignore[reportMissingImports]
        from zarr.storage import ZipStore  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImageError(
            f'{path}: this is an OME-Zarr image, which needs the package zarr: pip install "linnet[slides]"'
        ) from None
    if path.is_dir():
        yield zarr.open_group(str(path), mode="r")
        return
    with zipfile.ZipFile(path) as archive:
        root = zarr_root(archive)
    with ZipStore(path, mode="r") as store:
        yield zarr.open_group(store, path=root or "", mode="r")


def _multiscale(path: Path, group: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """(the first image's description, all that the group says of itself)."""
    attributes = json.loads(json.dumps(dict(group.attrs), default=str))
    metadata = attributes.get("ome", attributes)
    images = metadata.get("multiscales")
    if isinstance(images, list) and images and isinstance(images[0], dict):
        return images[0], metadata
    inside = sorted(str(name) for name in group)
    if "plate" in metadata:
        wells = [str(well.get("path")) for well in metadata["plate"].get("wells", [])]
        raise ImageError(
            f"{path}: this is a plate of {len(wells)} wells ({_listed(wells)}). Name the images of a well, like "
            f"{path}/{wells[0] if wells else 'A/1'}/0."
        )
    raise ImageError(
        f"{path}: this Zarr group holds no image of its own, but {_listed(inside)}. Name one of them, like "
        f"{path}/{inside[0] if inside else '0'}."
    )


def _listed(names: list[str]) -> str:
    return (", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")) or "nothing"


def _array(
    path: Path, group: Any, multiscale: Mapping[str, Any], metadata: Mapping[str, Any]
) -> tuple[str, Layout, np.dtype[Any]]:
    """(name, layout, type) of the array of the largest size."""
    name = str(multiscale["datasets"][0]["path"])
    array = group[name]
    named = [axis["name"] if isinstance(axis, dict) else str(axis) for axis in multiscale.get("axes", [])]
    axes = "".join(axis[:1].upper() for axis in named) or _OLD_AXES[-len(array.shape) :]
    if len(axes) != len(array.shape) or axes[-2:] != "YX" or len(set(axes)) < len(axes):
        raise ImageError(
            f"{path}: its axes are {', '.join(named) or axes}; a picture ends with y and x. Export it anew."
        )
    shape = tuple(int(n) for n in array.shape)
    if 0 in shape:
        raise ImageError(f"{path}: the image is {shape[-1]} x {shape[-2]} pixels, so there is nothing to read.")
    channels = metadata.get("omero", {}).get("channels", [])
    names = tuple(str(channel.get("label", "")) for channel in channels if isinstance(channel, dict))
    return name, Layout(axes, shape, channel_names=names, dtype=str(array.dtype)), np.dtype(array.dtype)


def _pixel_size(path: Path, multiscale: Mapping[str, Any], layout: Layout) -> float | None:
    """Micrometres: the scale of the largest size times that of all sizes, in the unit of the axis."""
    axes = multiscale.get("axes", [])
    sides = []
    for axis in (layout.axes.index("Y"), layout.axes.index("X")):
        unit = axes[axis].get("unit") if axis < len(axes) and isinstance(axes[axis], dict) else None
        factors = [_scale(part, axis) for part in (multiscale["datasets"][0], multiscale)]
        known = [factor for factor in factors if factor is not None]
        sides.append(micrometres(math.prod(known), str(unit)) if known and unit else None)
    return square_side(str(path), sides[1], sides[0])


def _scale(part: Mapping[str, Any], axis: int) -> float | None:
    """The factor of an axis in a list of transformations; None where there is none."""
    for transformation in part.get("coordinateTransformations", []):
        scale = transformation.get("scale")
        if transformation.get("type") == "scale" and isinstance(scale, list) and axis < len(scale):
            return float(scale[axis])
    return None
