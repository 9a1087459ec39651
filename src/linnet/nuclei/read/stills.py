"""GIF, BMP, WebP, JPEG 2000 and NumPy files: small pictures, read whole."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, WebPImagePlugin

from linnet.errors import ImageError
from linnet.nuclei.read.png_jpeg import MAX_WHOLE_BYTES

_READERS = {
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
NAMES = {"gif": "GIF", "bmp": "BMP bitmap", "webp": "WebP picture", "jp2": "JPEG 2000 file", "npy": "NumPy file"}
KINDS = tuple(NAMES)


def read_still(path: Path, content: bytes, kind: str) -> NDArray[np.generic]:
    """Pixels of a picture of one of KINDS: (h, w), (h, w, 2..4), or (pages, h, w[, 3]).

    A palette becomes RGB, or gray where all its colours are; frames of a GIF and the first axis of a NumPy array are
    pages.

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


def _pixels(picture: Image.Image) -> NDArray[np.generic]:
    if picture.mode == "1":
        return np.asarray(picture)
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
