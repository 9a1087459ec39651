"""Reading pictures from files, whole or piece by piece."""

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.errors import ImageError, InputError
from linnet.nuclei.read.extras.by_bioio import BY_BIOIO, bioio_layouts, open_by_bioio
from linnet.nuclei.read.extras.by_openslide import open_slide, slide_layout
from linnet.nuclei.read.extras.ome_zarr import folder_digest, open_zarr, zarr_layout
from linnet.nuclei.read.formats import image_format
from linnet.nuclei.read.png_jpeg import MAX_WHOLE_BYTES, read_jpeg, read_png
from linnet.nuclei.read.small_images import KINDS, NAMES, png_intensities, read_small_image
from linnet.nuclei.read.stacks import Projection, as_colour, projected
from linnet.nuclei.read.tiff import OpenedTiff, open_tiff, tiff_layouts
from linnet.nuclei.read.tiff_axes import Layout, choose

LAZY_FROM_BYTES = 64 * 2**20
"""From this size on `open_picture` reads a TIFF piece by piece (64 MiB of pixels; ours)."""

_INDEXED = 3  # colour type of a PNG
# kinds that are read piece by piece
_LAZY = {"tiff": open_tiff, "zarr": open_zarr, "slide": open_slide, **dict.fromkeys(BY_BIOIO, open_by_bioio)}
_FLOATS = {"int8": "float32", "int16": "float32"}  # exact; wider integers become float64


@dataclass(frozen=True)
class Picture:
    """One gray or RGB picture from a file.

    Attributes:
        pixels: (h, w) or (h, w, 3); bool, uint8, uint16 or float. An array, or a `LazyPixels` that reads on demand.
        pixel_size_um: Side of a pixel in micrometres where the file says it, else None.
        name: Name of the file, without its folder.
        digest: SHA-256 of the file's bytes, and of the page and channel where they were named.
    """

    pixels: "NDArray[np.generic] | LazyPixels"
    pixel_size_um: float | None
    name: str
    digest: str


class LazyPixels:
    """Pixels of a TIFF that are read when they are asked for: `pixels[0:512, 100:200]`.

    Looks like a read-only array with steps of 1: `shape`, `dtype`, `ndim`, slices and integers in y and x.

    Args:
        path: The file, for messages.
        opened: The plane in it.
    """

    def __init__(self, path: Path, opened: OpenedTiff) -> None:
        self._path, self._opened = path, opened
        h, w = opened.plane.shape[:2]
        color = opened.palette is not None or (opened.layout.color and opened.choice.sample is None)
        self.shape: tuple[int, ...] = (h, w, 3) if color else (h, w)
        stored = opened.plane.dtype if opened.palette is None else np.dtype(np.uint16)
        self.dtype: np.dtype[Any] = _usable(path, stored)

    @property
    def ndim(self) -> int:
        """2 for gray, 3 for RGB."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of all pixels in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, key: Any) -> NDArray[np.generic]:
        """Pixels of a rectangle, as numpy would give them.

        Raises:
            ImageError: the file can't be read there, or a pixel is NaN or infinite.
            IndexError: the key isn't made of slices and integers, has too many parts, or lies outside.
        """
        parts = key if isinstance(key, tuple) else (key,)
        at = next((i for i, p in enumerate(parts) if p is Ellipsis), None)
        if at is not None:
            parts = parts[:at] + (slice(None),) * (self.ndim - len(parts) + 1) + parts[at + 1 :]
        if len(parts) > self.ndim or not all(isinstance(p, slice | int | np.integer) for p in parts):
            raise IndexError(f"{key!r} can't index a picture of shape {self.shape}; slices and integers can.")
        rows, columns, *rest = (*parts, slice(None), slice(None))[: max(2, len(parts))]
        (y, pick_y), (x, pick_x) = _span(rows, self.shape[0]), _span(columns, self.shape[1])
        return self._read(y, x)[(pick_y, pick_x, *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.generic]:  # noqa: FBT001
        """All pixels, for `numpy.asarray`."""
        if copy is False:
            raise ValueError("The pixels are in a file; an array of them is always a copy.")
        return self[:, :] if dtype is None else self[:, :].astype(dtype)

    def _read(self, y: slice, x: slice) -> NDArray[np.generic]:
        h, w = y.stop - y.start, x.stop - x.start
        if h == 0 or w == 0:
            return np.empty((h, w, *self.shape[2:]), self.dtype)
        with _decoding(self._path):
            samples = self._opened.plane.read(y, x)
        if self._opened.palette is not None:
            pixels = np.take(self._opened.palette, samples[..., 0].astype(np.intp), axis=0, mode="clip")
        elif self.ndim == 3:
            pixels = samples[..., :3]
        else:
            pixels = samples[..., self._opened.choice.sample or 0]
        pixels = pixels.astype(self.dtype, copy=False)
        _check_finite(self._path, pixels, y.start, x.start)
        return pixels


def read_image(
    path: str | Path, *, page: int | None = None, channel: int | str | None = None, project: Projection | None = None
) -> Picture:
    """Reads a picture into memory.

    Values are given as stored: nothing is scaled, and "white is zero" isn't turned round. Transparency is dropped; a
    palette becomes RGB; signed and wide integers become float. An orientation tag isn't applied, so that coordinates
    are those of ImageJ and QuPath.

    Args:
        path: A picture in one of the formats of `formats.READABLE`, told by content.
        page: Counted from 0; needed when the file holds several.
        channel: Counted from 0, or its name; needed when the file holds several. For a colour picture 0, 1, 2 or "r",
            "g", "b" take red, green, blue alone; "rgb" makes three channels the colours of one picture.
        project: Makes one picture of all pages: "max", "mean" or "best-focus".

    Returns:
        The picture, its `pixels` an array.

    Raises:
        ImageError: the file can't be read or holds no usable picture; names the file, what was found, what to do.

    Example:
        >>> read_image("missing.png")
        Traceback (most recent call last):
            ...
        linnet.errors.ImageError: missing.png: there is no such file. Check the spelling and the folder.
    """
    path = Path(path)
    picture = open_picture(path, page=page, channel=channel, project=project)
    if isinstance(picture.pixels, np.ndarray):
        return picture
    if picture.pixels.nbytes > MAX_WHOLE_BYTES:
        raise ImageError(
            f"{path}: {picture.pixels.shape[1]:,} x {picture.pixels.shape[0]:,} pixels would take "
            f"{picture.pixels.nbytes / 2**30:.1f} GiB of memory. Read it in pieces: open_picture(...) in Python; "
            "`linnet nuclei detect` does so by itself."
        )
    return Picture(picture.pixels[:, :], picture.pixel_size_um, picture.name, picture.digest)


def open_picture(
    path: str | Path, *, page: int | None = None, channel: int | str | None = None, project: Projection | None = None
) -> Picture:
    """Like `read_image`, but a TIFF of 64 MiB and more is read piece by piece, when its pixels are asked for.

    Returns:
        The picture; `pixels` is an array when small, else a `LazyPixels`. No file is kept open.

    Raises:
        ImageError: as in `read_image`; damage inside a large file shows when that part is read.
    """
    path = Path(path)
    if project is not None:
        return _projected(path, page, channel, project)
    if isinstance(channel, str) and channel.lower() == "rgb":
        first = open_picture(path, page=page, channel=0)
        pixels = as_colour(str(path), lambda k: open_picture(path, page=page, channel=k).pixels[:, :])
        return Picture(pixels, first.pixel_size_um, path.name, _digest(path, page, channel))
    kind = image_format(path)
    if kind in _LAZY:
        with _decoding(path):
            lazy = LazyPixels(path, opened := _LAZY[kind](path, page=page, channel=channel))
        pixels = lazy if lazy.nbytes >= LAZY_FROM_BYTES else lazy[:, :]
        return Picture(pixels, opened.pixel_size_um, path.name, _digest(path, page, channel))
    with _decoding(path, NAMES.get(kind, "file")):
        stored = _stored(path, kind)
    return Picture(_chosen(path, stored, page, channel), None, path.name, _digest(path, page, channel))


def page_count(path: str | Path) -> int:
    """Number of pages of a file: pictures that differ in anything but the channel.

    Raises:
        ImageError: the file can't be read.
    """
    path = Path(path)
    kind = image_format(path)
    with _decoding(path):
        return sum(layout.pages for layout in _layouts(path, kind))


def channel_names(path: str | Path, *, page: int | None = None) -> tuple[str, ...]:
    """Names of the channels that one can be chosen from, "" for those without one; empty where there is only one.

    Args:
        path: The file.
        page: Which page, where the file holds several.

    Raises:
        ImageError: the file can't be read, or there is no such page.
    """
    path = Path(path)
    kind = image_format(path)
    with _decoding(path):
        layouts = _layouts(path, kind)
    layout = layouts[choose(str(path), layouts, page=page, channel=0).series]
    if layout.color:
        return ("red", "green", "blue")
    known = (*layout.channel_names, *[""] * layout.channels)[: layout.channels]
    return known if layout.channels > 1 else ()


def _layouts(path: Path, kind: str) -> list[Layout]:
    """The pictures of a file."""
    if kind == "tiff":
        return tiff_layouts(path)
    if kind in BY_BIOIO:
        return bioio_layouts(path)
    if kind == "slide":
        return [slide_layout(path)]
    return [zarr_layout(path) if kind == "zarr" else _layout(_stored(path, kind))]


def _projected(path: Path, page: int | None, channel: int | str | None, project: Projection) -> Picture:
    if page is not None:
        raise InputError(
            f"`project` ({project}) makes one picture of all pages, and `page` ({page}) names one. Choose."
        )
    count = page_count(path)
    first = open_picture(path, page=0, channel=channel)
    pages = (open_picture(path, page=k, channel=channel).pixels[:, :] for k in range(count))
    return Picture(
        projected(str(path), project, pages), first.pixel_size_um, path.name, _digest(path, None, channel, project)
    )


def _stored(path: Path, kind: str) -> NDArray[np.generic]:
    """Everything that is in a file that is read whole."""
    content = path.read_bytes()
    if kind in KINDS:
        return read_small_image(path, content, kind)
    if kind == "png":
        pixels = read_png(path, content)  # which checks what the header declares
        return pixels if content[25] != _INDEXED else png_intensities(content, pixels)
    return read_jpeg(path, content)


def _layout(stored: NDArray[np.generic]) -> Layout:
    """The axes of an array: samples stand last and are at most four; what stands before height and width are pages."""
    samples = stored.shape[-1] if stored.ndim > 2 and stored.shape[-1] <= 4 else 1
    plain = stored.shape[:-1] if samples > 1 or (stored.ndim > 2 and stored.shape[-1] == 1) else stored.shape
    axes = "QQYX"[-len(plain) :] if len(plain) < 4 else "TQYX"
    return Layout(
        f"{axes}S", (*plain, samples), color=samples >= 3, alpha=int(samples in (2, 4)), dtype=str(stored.dtype)
    )


def _chosen(
    path: Path, stored: NDArray[np.generic], page: int | None, channel: int | str | None
) -> NDArray[np.generic]:
    """Gray, RGB or one channel of a file that is read whole, without transparency."""
    layout = _layout(stored)
    choice = choose(str(path), [layout], page=page, channel=channel)
    planes = stored.reshape(-1, layout.size("Y"), layout.size("X"), layout.size("S"))
    plane = planes[choice.plane]
    usable = plane.astype(_usable(path, plane.dtype), copy=False)
    pixels = np.ascontiguousarray(
        usable[..., :3] if layout.color and choice.sample is None else usable[..., choice.sample or 0]
    )
    _check_finite(path, pixels, 0, 0)
    return pixels


@contextmanager
def _decoding(path: Path, what: str = "file") -> Iterator[None]:
    """Turns whatever a decoder raises at a damaged file into one `ImageError`; its warnings and log stay inside."""
    log = logging.getLogger("tifffile")
    silence = _Silence()
    log.addFilter(silence)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: the file has gone while it was read. Check the disk or the network drive.") from None
    except MemoryError as error:
        raise ImageError(f"{path}: there isn't enough memory to read it. Save it as a tiled TIFF.") from error
    except Exception as error:
        # Decoders raise nearly everything at damaged bytes: struct.error, IndexError, KeyError, zlib.error, ...
        reason = " ".join(str(error).replace(str(path), "it").split())[:200] or type(error).__name__
        raise ImageError(
            f"{path}: the {what} is damaged or cut off, or in a variant that can't be read ({reason}). Copy or export "
            "it again, as PNG or TIFF."
        ) from error
    finally:
        log.removeFilter(silence)


class _Silence(logging.Filter):
    """Drops every record: what a decoder has to say stands in the `ImageError`."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


def _usable(path: Path, stored: np.dtype[Any]) -> np.dtype[Any]:
    """The type that pixels of a stored type get."""
    if stored.kind == "b" or stored in (np.uint8, np.uint16) or (stored.kind == "f" and stored.itemsize <= 8):
        return stored
    if stored.kind in "iu":
        return np.dtype(_FLOATS.get(stored.name, "float64"))
    raise ImageError(
        f"{path}: its samples are {stored.name}; bool, integers and floats can be read. Save the magnitude."
    )


def _span(part: Any, length: int) -> tuple[slice, Any]:
    """(range to read, key to apply to what was read)."""
    if isinstance(part, slice):
        start, stop, step = part.indices(length)
        if step > 0:
            return slice(start, max(start, stop)), slice(None, None, step)
        chosen = range(start, stop, step)
        return (slice(chosen[-1], start + 1), slice(None, None, step)) if chosen else (slice(0, 0), slice(None))
    index = int(part) + (length if part < 0 else 0)
    if not 0 <= index < length:
        raise IndexError(f"{part} lies outside a picture with {length} pixels along this axis.")
    return slice(index, index + 1), 0


def _check_finite(path: Path, pixels: NDArray[np.generic], top: int, left: int) -> None:
    if pixels.dtype.kind != "f":
        return
    bad = ~np.isfinite(pixels)
    if not bad.any():
        return
    y, x = np.argwhere(bad)[0][:2]
    what = "NaN" if np.isnan(pixels[bad]).any() else "infinite"
    raise ImageError(
        f"{path}: {int(bad.sum()):,} of its values are {what}, the first at row {top + y}, column {left + x}. Pixels "
        "must be finite numbers; replace these (by 0 or by a neighbour) and save it again."
    )


def _digest(path: Path, page: int | None, channel: int | str | None, project: str | None = None) -> str:
    if path.is_dir():
        digest = folder_digest(path)
    else:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    if page is not None or channel is not None:
        digest.update(f"page={page} channel={channel}".encode())
    if project is not None:
        digest.update(f"project={project}".encode())
    return digest.hexdigest()
