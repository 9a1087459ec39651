"""PNG and JPEG: the header is checked before anything is decoded."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from linnet.errors import ImageError

MAX_WHOLE_BYTES = 2**31
"""Most bytes of pixels that are decoded in one piece (2 GiB; ours)."""

# Most that one byte of a valid file can stand for. PNG: deflate reaches 1,032 to 1. JPEG: a block of 64 pixels costs at
# least 1 bit in a progressive file, 512 pixels a byte; doubled for safety.
_PNG_BYTES_PER_BYTE = 1040
_JPEG_PIXELS_PER_BYTE = 1024

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Start-of-frame markers: all of 0xC0..0xCF but tables (C4), extension (C8) and arithmetic conditioning (CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Header:
    """What a PNG or JPEG declares: size in pixels, channels, bits per sample."""

    height: int
    width: int
    channels: int
    bits: int

    @property
    def decoded_bytes(self) -> int:
        """Size once decoded; samples of less than 8 bits take a byte each."""
        return self.height * self.width * self.channels * max(1, self.bits // 8)


def read_png(path: Path, content: bytes) -> NDArray[np.generic]:
    """Pixels of a PNG: (h, w), (h, w, 2..4); bool for 1 bit, uint8 or uint16; a palette becomes RGB.

    Raises:
        ImageError: the header is implausible, or the file is damaged.
    """
    header = png_header(path, content)
    row_bytes = -(-header.width * header.channels * header.bits // 8)
    _check_declared(path, header, len(content), header.height * row_bytes, _PNG_BYTES_PER_BYTE)
    pixels = np.asarray(imagecodecs.png_decode(content))
    if pixels.shape[:2] != (header.height, header.width):
        raise ImageError(f"{path}: its header says {header.width} x {header.height} pixels, it holds {pixels.shape}.")
    return pixels > 0 if header.bits == 1 and pixels.ndim == 2 else pixels


def read_jpeg(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Pixels of a JPEG: (h, w) or (h, w, 3), uint8, as stored: an orientation tag from a camera isn't applied.

    Raises:
        ImageError: the header is implausible, or the file is damaged or cut off.
    """
    header = jpeg_header(path, content)
    pixels = header.height * header.width
    _check_declared(path, header, len(content), pixels, _JPEG_PIXELS_PER_BYTE)
    # The plugin is called by itself: `Image.open` would guess the format and warn at sizes that we allow.
    with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as picture:
        picture.load()
        gray_or_rgb = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
        return np.array(gray_or_rgb)


def png_header(path: Path, content: bytes) -> Header:
    """What the IHDR chunk of a PNG declares."""
    if len(content) < 33 or content[12:16] != b"IHDR":
        raise ImageError(
            f"{path}: the PNG is cut off after {len(content)} bytes, in its header. Copy or export it again."
        )
    width, height, bits, kind = struct.unpack(">IIBB", content[16:26])
    if bits not in _PNG_DEPTHS.get(kind, ()):
        raise ImageError(
            f"{path}: the PNG header is damaged (colour type {kind} with {bits} bits doesn't exist). Export it again."
        )
    return Header(height, width, _PNG_CHANNELS[kind], bits)


def jpeg_header(path: Path, content: bytes) -> Header:
    """What the start-of-frame segment of a JPEG declares."""
    at = 2
    while at + 9 < len(content):
        if content[at] != 0xFF:
            break
        marker = content[at + 1]
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack(">BHHB", content[at + 4 : at + 10])
            return Header(height, width, channels, bits)
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:  # fill byte, or a marker without a body
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    raise ImageError(f"{path}: the JPEG has no readable header ({len(content)} bytes). Copy or export it again.")


def _check_declared(path: Path, header: Header, file_bytes: int, declared: int, per_byte: int) -> None:
    """Refuses a picture without pixels, one that its file can't possibly hold, and one too large for memory."""
    size = f"{header.width:,} x {header.height:,} pixels"
    if header.width == 0 or header.height == 0:
        raise ImageError(f"{path}: the image is {size}, so there is nothing to read. Export it again.")
    if declared > file_bytes * per_byte:
        raise ImageError(
            f"{path}: its header declares {size}, but the file has only {file_bytes:,} bytes, too few for that. "
            "It is damaged or not what it says; nothing was decoded. Copy or export it again."
        )
    if header.decoded_bytes > MAX_WHOLE_BYTES:
        raise ImageError(
            f"{path}: {size} would take {header.decoded_bytes / 2**30:.1f} GiB of memory at once; the limit for PNG "
            f"and JPEG is {MAX_WHOLE_BYTES / 2**30:.0f} GiB. Save it as a tiled TIFF, which is read in pieces."
        )
