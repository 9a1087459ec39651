"""Pictures of the default detector's own training, shown again while it is taught, so that it doesn't forget them."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin

from linnet.data.nuclei import NucleusImage
from linnet.nuclei.training.crops import Annotated

GROUP = "rehearsal"
NAME = "rehearsal.zip"
# Pictures of each kind of nuclei_dsb2018 (CC0); fluorescence is what teaching tissue makes forgotten first. Ours.
EACH = {"small_fluo": 60, "large_fluo": 40, "purple_tissue": 12, "pink_purple_tissue": 10, "gray_tissue": 4}
_SIDE = 360  # pixels; of a larger picture the middle is kept
_QUALITY = 90
_TIME = (1980, 1, 1, 0, 0, 0)  # of the files in the archive, so that the same pictures give the same bytes


def rehearsal() -> list[Annotated]:
    """The pictures that come with the default weights, with points and diameters, as group "rehearsal"."""
    with zipfile.ZipFile(io.BytesIO((files("linnet.nuclei") / "weights" / NAME).read_bytes())) as archive:
        nuclei: dict[str, list[tuple[float, float, float]]] = {}
        for row in csv.DictReader(archive.read("nuclei.csv").decode().splitlines()):
            place = (float(row["y"]), float(row["x"]), float(row["diameter_px"] or "nan"))
            nuclei.setdefault(row["image"], []).append(place)
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        return [_annotated(archive.read(name), nuclei.get(name.removesuffix(".jpg"), [])) for name in names]


def write_rehearsal(images: Sequence[NucleusImage], path: Path) -> Path:
    """Writes the pictures that are rehearsed: of each kind those of `EACH`, of as many different mosaics as there are.

    Args:
        images: Training images.
        path: The archive.
    """
    rows = [("image", "y", "x", "diameter_px")]
    with zipfile.ZipFile(path, "w") as archive:
        for image in _chosen(images):
            pixels = image.pixels()
            low, high = _middle(pixels.shape)
            shown = pixels[low[0] : high[0], low[1] : high[1]]
            content = io.BytesIO()
            Image.fromarray(shown).save(content, "JPEG", quality=_QUALITY, subsampling=0)
            archive.writestr(zipfile.ZipInfo(f"{image.image_id}.jpg", _TIME), content.getvalue())
            known = np.full(len(image.points), np.nan) if image.diameters is None else image.diameters
            for (y, x), diameter in zip(image.points - low, known, strict=True):
                if -0.5 <= y < shown.shape[0] - 0.5 and -0.5 <= x < shown.shape[1] - 0.5:
                    size = f"{diameter:.1f}" if np.isfinite(diameter) else ""
                    rows.append((image.image_id, f"{y:.1f}", f"{x:.1f}", size))
        table = "".join(",".join(row) + "\n" for row in rows)
        archive.writestr(zipfile.ZipInfo("nuclei.csv", _TIME), table, zipfile.ZIP_DEFLATED)
    return path


def _chosen(images: Sequence[NucleusImage]) -> list[NucleusImage]:
    """One image of each mosaic in turn, until there are enough of each kind."""
    found = []
    for kind, most in EACH.items():
        by_mosaic: dict[str, list[NucleusImage]] = {}
        for image in sorted((i for i in images if i.group == kind), key=lambda i: i.image_id):
            by_mosaic.setdefault(image.mosaic_id, []).append(image)
        turns = [(turn, mosaic) for mosaic, members in by_mosaic.items() for turn in range(len(members))]
        found += [by_mosaic[mosaic][turn] for turn, mosaic in sorted(turns)[:most]]
    return found


def _middle(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    size = np.array(shape[:2])
    low = np.maximum((size - _SIDE) // 2, 0)
    return low, np.minimum(low + _SIDE, size)


def _annotated(content: bytes, nuclei: Sequence[tuple[float, float, float]]) -> Annotated:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as picture:
        pixels = np.array(picture)
    table = np.array(nuclei, dtype=np.float64).reshape(-1, 3)
    return Annotated(pixels, table[:, :2], GROUP, diameters=table[:, 2])
