"""Slides made on the spot, laid out as the makers of scanners do."""

import io
import struct

import numpy as np
import tifffile
from PIL import Image


def picture(height=128, width=192):
    """Smooth colours, which JPEG keeps nearly as they are."""
    y, x = np.mgrid[:height, :width]
    return np.stack([60 + y, 40 + x, 200 - (x + y) // 4], axis=-1).clip(0, 255).astype(np.uint8)


def jpeg(pixels, **options):
    """Bytes of a JPEG without subsampled colours."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=0, **options)
    return file.getvalue()


def write_svs(path, pixels, *, mpp=0.499):
    """An Aperio slide: tiles of JPEG, the size of a pixel in the description, and a thumbnail behind."""
    height, width = pixels.shape[:2]
    said = f"Aperio Image Library v11.2.1 \r\n{width}x{height} (64x64) JPEG/RGB Q=70|AppMag = 20|MPP = {mpp}|Left = 25"
    with tifffile.TiffWriter(path) as tiff:
        options = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 95}, "metadata": None}
        tiff.write(pixels, tile=(64, 64), description=said, subfiletype=0, **options)
        tiff.write(pixels[::4, ::4].copy(), rowsperstrip=16, description="Aperio Image Library\r\nthumb -> ", **options)


def write_ndpi(path, pixels, *, nm=230, blocks=8):
    """A Hamamatsu slide: one strip of JPEG with restart markers, whose places tag 65426 lists, and wide offsets.

    Args:
        path: The file.
        pixels: RGB; width a multiple of 8 * `blocks`, height of 8.
        nm: Side of a pixel in nanometres.
        blocks: Blocks of 8 x 8 pixels between two restart markers.
    """
    height, width = pixels.shape[:2]
    strip = jpeg(pixels, restart_marker_blocks=blocks)
    scan = strip.index(b"\xff\xda")
    first = scan + 2 + int.from_bytes(strip[scan + 2 : scan + 4], "big")
    restarts = [k + 2 for k in range(first, len(strip) - 1) if strip[k] == 0xFF and 0xD0 <= strip[k + 1] <= 0xD7]
    starts = [first, *restarts]
    content = bytearray(b"II*\0" + struct.pack("<Q", 0))

    def kept(data):
        at = len(content)
        content.extend(data + b"\0" * (-len(data) % 8))
        return at

    per_cm = struct.pack("<II", 10_000_000, nm)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, kept(struct.pack("<HHH", 8, 8, 8))),
        (259, 3, 1, 7),
        (262, 3, 1, 6),
        (271, 2, 10, kept(b"Hamamatsu\0")),
        (272, 2, 13, kept(b"NanoZoomer-S\0")),
        (273, 4, 1, kept(strip)),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
        (282, 5, 1, kept(per_cm)),
        (283, 5, 1, kept(per_cm)),
        (284, 3, 1, 1),
        (296, 3, 1, 3),
        (65420, 4, 1, 1),  # says that this is an NDPI
        (65421, 11, 1, struct.unpack("<I", struct.pack("<f", 40.0))[0]),  # objective
        (65424, 9, 1, 0),  # focal plane
        (65426, 4, len(starts), kept(struct.pack(f"<{len(starts)}I", *starts))),
    ]
    struct.pack_into("<Q", content, 4, len(content))
    content += struct.pack("<H", len(tags))
    for tag in tags:
        content += struct.pack("<HHII", *tag)
    content += struct.pack("<Q", 0) + b"\0" * 4 * len(tags)  # the next page, and the high half of every offset
    path.write_bytes(content)


def write_vms(path, pixels, *, nm=230):
    """A Hamamatsu slide of several files: a text that names the JPEGs beside it."""
    height, width = pixels.shape[:2]
    for name, shown in (("a", pixels), ("map", pixels[::4, ::4].copy()), ("macro", pixels[::4, ::4].copy())):
        path.with_name(f"{name}.jpg").write_bytes(jpeg(shown, restart_marker_blocks=2))
    lines = ["[Virtual Microscope Specimen]", "NoLayers=1", "NoJpegColumns=1", "NoJpegRows=1", "ImageFile=a.jpg"]
    lines += ["MapFile=map.jpg", "MacroImage=macro.jpg", "SourceLens=40"]
    lines += [f"PhysicalWidth={nm * width}", f"PhysicalHeight={nm * height}", "PhysicalMacroWidth=0"]
    path.write_text("\r\n".join(lines) + "\r\n", encoding="latin-1")
