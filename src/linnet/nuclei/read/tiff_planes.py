"""One plane of a TIFF, read by rectangle: as it lies in the file, by tiles or strips, or from memory.

tifffile offers the same through zarr, which would be one more package for everyone, and would not check the sizes that
a damaged or hostile file declares before memory is taken for them.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFrame, TiffPage

from linnet.errors import ImageError
from linnet.nuclei.read.png_jpeg import MAX_WHOLE_BYTES

_CACHE_BYTES = 64 * 2**20

# Most decoded bytes that one stored byte can stand for, by compression. Deflate: 1,032. LZW: 3,840 codes of at most 12
# bits give strings that grow by one, 7.4 MB from 5.5 kB. PackBits: 128 from 2. JPEG: as for JPEG files, times three
# samples. The others (zstd, LZMA, JPEG 2000, ...) have no useful bound; theirs only catches what is absurd.
_DEFLATE, _LZW, _PACKBITS, _JPEG = {8, 32946, 50013}, {5}, {32773}, {6, 7, 34892, 33007}


class Plane(Protocol):
    """Stored samples of one plane, read by rectangle."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, y: slice, x: slice) -> NDArray[np.generic]:
        """Samples of rows `y` and columns `x` (start and stop inside the plane): (h, w) or (h, w, samples)."""
        ...


class ContiguousPlane:
    """Uncompressed samples in one run of the file: rows are read where they lie.

    Args:
        path: The file.
        offset: Where the run begins, in bytes.
        shape: (h, w, samples).
        dtype: With the byte order of the file.
        planar: Samples come one plane after the other instead of pixel by pixel.
    """

    def __init__(
        self, path: Path, offset: int, shape: tuple[int, int, int], dtype: np.dtype[Any], *, planar: bool
    ) -> None:
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self._path, self._offset, self._stored, self._planar = path, offset, dtype, planar

    def read(self, y: slice, x: slice) -> NDArray[np.generic]:
        """See `Plane.read`."""
        h, w, samples = self.shape
        bands, inner = (samples, 1) if self._planar else (1, samples)
        row = w * inner * self._stored.itemsize
        rows = y.stop - y.start
        out = np.empty((rows, x.stop - x.start, samples), self.dtype)
        with self._path.open("rb") as file:
            for band in range(bands):
                file.seek(self._offset + (band * h + y.start) * row)
                content = file.read(rows * row)
                if len(content) != rows * row:
                    raise cut_off(self._path)
                block = np.frombuffer(content, self._stored).reshape(rows, w, inner)[:, x]
                out[..., band : band + inner] = block
        return out


class SegmentedPlane:
    """Samples in tiles or strips, compressed or not; the last ones used are kept (64 MiB).

    Args:
        page: The page, of an open file; nothing of the file is kept open.
    """

    def __init__(self, page: TiffPage | TiffFrame) -> None:
        keyframe = page.keyframe
        assert keyframe is not None
        self._planar = keyframe.planarconfig == 2 and keyframe.samplesperpixel > 1
        samples = keyframe.samplesperpixel
        self.shape = (keyframe.imagelength, keyframe.imagewidth, samples)
        self.dtype = np.dtype(keyframe.dtype).newbyteorder("=")
        tile = (keyframe.tilelength, keyframe.tilewidth)
        self._step = tile if keyframe.is_tiled else (min(keyframe.rowsperstrip, self.shape[0]), self.shape[1])
        self._grid = tuple(-(-n // step) for n, step in zip(self.shape, self._step, strict=False))
        self._path = Path(page.parent.filehandle.path)
        self._offsets, self._counts = tuple(page.dataoffsets), tuple(page.databytecounts)
        self._decode: Callable[..., Any] = keyframe.decode
        self._options: dict[str, Any] = {}
        if keyframe.compression in _JPEG:
            self._options = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
        self._kept: OrderedDict[int, NDArray[np.generic]] = OrderedDict()
        self._kept_bytes = 0
        self._check(keyframe)

    def read(self, y: slice, x: slice) -> NDArray[np.generic]:
        """See `Plane.read`."""
        samples = self.shape[2]
        out = np.zeros((y.stop - y.start, x.stop - x.start, samples), self.dtype)
        (dy, dx), (_, nx) = self._step, self._grid
        with self._path.open("rb") as file:
            for band in range(samples if self._planar else 1):
                for i in range(y.start // dy, -(-y.stop // dy)):
                    for j in range(x.start // dx, -(-x.stop // dx)):
                        index = (band * self._grid[0] + i) * nx + j
                        _paste(out, self._segment(file, index), band, y.start - i * dy, x.start - j * dx)
        return out

    def _segment(self, file: BinaryIO, index: int) -> NDArray[np.generic]:
        """(h, w, samples or 1) of one tile or strip; a tile that was never written is black."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        content = None
        if self._counts[index]:
            file.seek(self._offsets[index])
            content = file.read(self._counts[index])
            if len(content) != self._counts[index]:
                raise cut_off(self._path)
        decoded, _, (depth, h, w, _) = self._decode(content, index, _fullsize=False, **self._options)
        if decoded is None:
            return np.zeros((h, w, 1), self.dtype)
        if depth != 1:
            raise ImageError(f"{self._path}: its tiles are three-dimensional. Save each slice as a separate page.")
        segment = np.asarray(decoded)[0, :h, :w]
        self._keep(index, segment)
        return segment

    def _keep(self, index: int, segment: NDArray[np.generic]) -> None:
        self._kept[index] = segment
        self._kept_bytes += segment.nbytes
        while self._kept_bytes > _CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes

    def _check(self, keyframe: TiffPage) -> None:
        """Refuses segments that are missing, lie outside the file, or can't hold what they declare."""
        wanted = math.prod(self._grid) * (self.shape[2] if self._planar else 1)
        size = f"{self.shape[1]:,} x {self.shape[0]:,} pixels"
        pieces = "tiles" if keyframe.is_tiled else "strips"
        if min(len(self._offsets), len(self._counts)) < wanted:
            raise ImageError(
                f"{self._path}: its header declares {size} in {wanted:,} {pieces}, but lists only "
                f"{min(len(self._offsets), len(self._counts)):,}. It is damaged; copy or export it again."
            )
        counts = np.asarray(self._counts[:wanted], dtype=np.float64)
        offsets = np.asarray(self._offsets[:wanted], dtype=np.float64)
        empty = int((counts == 0).sum())
        if empty == wanted or (empty and not keyframe.is_tiled):
            raise ImageError(
                f"{self._path}: {empty:,} of its {wanted:,} {pieces} were never written. The recording or the copy was "
                "interrupted; copy or export it again."
            )
        if (offsets + counts).max() > self._path.stat().st_size:
            raise cut_off(self._path)
        bands = 1 if self._planar else self.shape[2]
        piece = math.prod(self._step) * bands * self.dtype.itemsize
        packed = keyframe.bitspersample / (8 * self.dtype.itemsize)
        whole = math.prod(self.shape[:2]) * bands * self.dtype.itemsize
        if packed * min(piece, whole) > _most_per_byte(keyframe.compression) * counts.max():
            raise ImageError(
                f"{self._path}: its header declares {size}, but its {pieces} have at most {int(counts.max()):,} bytes, "
                "too few for that. It is damaged or not what it says; nothing was decoded. Copy or export it again."
            )
        if piece > MAX_WHOLE_BYTES:
            raise ImageError(
                f"{self._path}: {size} are stored in pieces of {piece / 2**30:.1f} GiB; pieces up to "
                f"{MAX_WHOLE_BYTES / 2**30:.0f} GiB can be read. Save it as a tiled TIFF."
            )


class ArrayPlane:
    """A plane already in memory, (h, w, samples)."""

    def __init__(self, array: NDArray[np.generic]) -> None:
        self.shape = array.shape
        self.dtype = array.dtype
        self._array = array

    def read(self, y: slice, x: slice) -> NDArray[np.generic]:
        """See `Plane.read`."""
        return self._array[y, x]


def _paste(out: NDArray[np.generic], segment: NDArray[np.generic], band: int, skip_y: int, skip_x: int) -> None:
    """Copies the part of a segment that lies in `out`, which begins `skip` pixels after the segment does."""
    part = segment[max(0, skip_y) :, max(0, skip_x) :]
    part = part[: out.shape[0] - max(0, -skip_y), : out.shape[1] - max(0, -skip_x)]
    top, left = max(0, -skip_y), max(0, -skip_x)
    out[top : top + part.shape[0], left : left + part.shape[1], band : band + part.shape[2]] = part


def _most_per_byte(compression: int) -> float:
    for kinds, bound in ((_DEFLATE, 1_040), (_LZW, 1_500), (_PACKBITS, 64), (_JPEG, 3 * 1_024), ({1}, 1)):
        if compression in kinds:
            return bound
    return 200_000


def cut_off(path: Path) -> ImageError:
    """The error for a file that ends too early."""
    return ImageError(
        f"{path}: the file is cut off; it ends before the pixels that its header announces. Copy or export it again."
    )
