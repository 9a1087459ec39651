"""Peak memory of one detection in a large image, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile

from benchmarks.process import own_process
from linnet.data import fluorescence_field
from linnet.results import Record

_FIELD_PX = 500


def memory_records(*, side_px: int) -> list[Record]:
    """Peak resident memory while a square image of this side is read in tiles and searched."""
    with TemporaryDirectory() as folder:
        path = write_large_image(Path(folder) / "large.tif", side_px)
        found = own_process(search_of, str(path), peak="process")
    context = {"side_px": side_px, "nuclei": found.value, "before_mb": found.before_bytes / 1e6}
    return [
        Record.measured("nuclei.peak_memory", found.peak_bytes / 1e6, unit="MB", n=1, context=context),
        Record.measured("nuclei.large_image_s", found.wall_s, unit="s", n=1, context=context),
    ]


def write_large_image(path: Path, side_px: int) -> Path:
    """An 8-bit TIFF of this side, made of one synthetic field again and again, written a row of fields at a time."""
    field, _ = fluorescence_field((_FIELD_PX, _FIELD_PX), 220, rng_seed=0)
    low, high = np.percentile(field, [0.1, 99.9])
    tile = np.clip((field - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    band = np.tile(tile, (1, -(-side_px // _FIELD_PX)))[:, :side_px]
    image = tifffile.memmap(path, shape=(side_px, side_px), dtype=np.uint8)
    for top in range(0, side_px, _FIELD_PX):
        image[top : top + _FIELD_PX] = band[: side_px - top]
    image.flush()
    return path


def search_of(path: str) -> Callable[[], int]:
    """What finds the nuclei of an image file in tiles and gives their number."""
    import linnet.nuclei
    from linnet.nuclei.read.images import open_picture

    detector = linnet.nuclei.load("default")
    return lambda: len(detector(open_picture(path).pixels).points)
