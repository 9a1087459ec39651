"""GIF, BMP, WebP, JPEG 2000 and NumPy files: small pictures, read whole."""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, PngImagePlugin, WebPImagePlugin

from linnet.errors import ImageError
from linnet.nuclei.read.png_jpeg import MAX_WHOLE_BYTES

_READERS = {
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
NAMES = {"gif": "GIF", "bmp": "BMP bitmap", "webp": "WebP picture", "jp2": "JPEG 2000 file", "npy": "NumPy file"}
KINDS = tuple(NAMES)

_BACK = 0.02  # share of a colour map's way from dark to bright that may lead back; viridis and its kin have 0.1 %
# Longest step between neighbours of a colour map, of the distance from black to white in each channel. Maps of
# intensities in matplotlib have at most 0.09 (nipy_spectral); palettes of photographs 0.2 and more, of labels 0.9.
_STEP = 0.12
_COLOURS = 64  # fewer say nothing about a step


def read_small_image(path: Path, content: bytes, kind: str) -> NDArray[np.generic]:
    """Pixels of a picture of one of KINDS: (h, w), (h, w, 2..4), or (pages, h, w[, 3]).

    A palette becomes RGB, gray where all its colours are, or its indices where it shows intensities; frames of a GIF
    and the first axis of a NumPy array are pages.

    Raises:
        ImageError: the picture is too large, or the array isn't a picture.
    """
    if kind == "npy":
        return _array(path, content)
    if kind == "jp2":
        return np.asarray(imagecodecs.jpeg2k_decode(content))
    with _READERS[kind](io.BytesIO(content)) as picture:
        frames = getattr(picture, "n_frames", 1) if kind == "gif" else 1
        if picture.width * picture.height * 4 * frames > MAX_WHOLE_BYTES:
            raise ImageError(f"{path}: {picture.width:,} x {picture.height:,} pixels are too many for this format.")
        pages = []
        for frame in range(frames):
            picture.seek(frame)
            pages.append(_pixels(picture))
    return pages[0] if frames == 1 else np.stack(pages)


def shows_intensities(colors: NDArray[Any]) -> bool:
    """Whether a colour map stands for intensities, so that the index of a pixel says more than its colour.

    It runs from dark to bright, or from colour to colour in small steps, as jet and rainbow do. The ends are left out,
    since maps like HiLo mark them, and steps back from bright to dark that make up 2 % of the way are let pass.

    Args:
        colors: (values, 3) in 8 or 16 bits.
    """
    inner = colors[1:-1] if len(colors) > 4 else colors
    luminance = np.diff(inner.astype(np.float64) @ (0.299, 0.587, 0.114))
    up, down = float(luminance[luminance > 0].sum()), float(-luminance[luminance < 0].sum())
    if min(up, down) <= _BACK * max(up, down):
        return True
    steps = np.linalg.norm(np.diff(inner.astype(np.float64), axis=0), axis=1)
    span = float(colors.max()) or 1.0
    return len(np.unique(colors, axis=0)) >= _COLOURS and float(steps.max()) <= _STEP * span


def indexed(picture: Image.Image) -> NDArray[np.uint8] | None:
    """Indices of a picture in indexed colours whose map shows intensities; None of any other."""
    palette = picture.getpalette() if picture.mode == "P" else None
    if palette is None:
        return None
    colors = np.array(palette, dtype=np.int64).reshape(-1, 3)
    values = np.array(picture)
    used = colors[: int(values.max()) + 1] if values.size else colors
    gray = bool((used == used[:, :1]).all())  # such a map is the brightness itself, whatever its order
    return values if not gray and len(colors) >= _COLOURS and shows_intensities(colors) else None


def png_intensities(content: bytes, shown: NDArray[np.generic]) -> NDArray[np.generic]:
    """Indices of a PNG in indexed colours whose map shows intensities; else the colours, as they were decoded."""
    with PngImagePlugin.PngImageFile(io.BytesIO(content)) as picture:
        values = indexed(picture)
    return shown if values is None else values


def _pixels(picture: Image.Image) -> NDArray[np.generic]:
    if picture.mode == "1":
        return np.asarray(picture)
    values = indexed(picture)
    if values is not None:
        return values
    shown = np.array(picture if picture.mode in ("L", "RGB", "RGBA") else picture.convert("RGB"))
    gray = (
        shown.ndim == 3
        and np.array_equal(shown[..., 0], shown[..., 1])
        and np.array_equal(shown[..., 1], shown[..., 2])
    )
    return np.ascontiguousarray(shown[..., 0]) if gray else shown


def _array(path: Path, content: bytes) -> NDArray[np.generic]:
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim not in (2, 3, 4) or array.dtype.kind not in "buif":
        raise ImageError(
            f"{path}: this array has shape {array.shape} and type {array.dtype}; a picture (height, width), a colour "
            "picture (height, width, 3) or pages of them were needed. Save it as one."
        )
    return array
