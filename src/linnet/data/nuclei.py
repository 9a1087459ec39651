"""Folders of microscopy images with outlined nuclei: images, centroids, groups, split by picture."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from linnet.data.listing import rows
from linnet.errors import DataError

_NEEDS = "A nucleus set needs meta.csv, centroids.csv and images/."


@dataclass(frozen=True)
class NucleusImage:
    """One annotated image of a nucleus set.

    Attributes:
        image_id: Name of the image.
        path: The image file.
        points: (n, 2) float64 centroids, y and x in pixels.
        group: Kind of image, for example "small_fluo".
        mosaic_id: The picture that this image is a crop of; images of one picture stay on one side of a split.
        split: "train", "val" or "test".
        diameters: (n,) equivalent diameters of the nuclei in pixels, NaN where the set doesn't give an area; None when
            it gives none.
        read: Reads the pixels of the file; None reads a PNG.
    """

    image_id: str
    path: Path
    points: np.ndarray
    group: str
    mosaic_id: str
    split: str
    diameters: np.ndarray | None = None
    read: Callable[[Path], np.ndarray] | None = None

    def pixels(self) -> np.ndarray:
        """(h, w) or (h, w, 3) uint8 pixels, read from the file.

        Raises:
            DataError: the file isn't an image, or is damaged.
        """
        if self.read is not None:
            return self.read(self.path)
        try:
            with Image.open(self.path) as image:
                return np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{self.path} isn't a readable image ({error}). Restore the file.") from error


def read_nucleus_set(
    folder: str | Path, split: str | None = None, *, group: str = "group", picture: str = "mosaic_id"
) -> list[NucleusImage]:
    """The images of a nucleus set (`meta.csv`, `centroids.csv`, `images/`), sorted by name.

    Args:
        folder: Folder of the set.
        split: Only this side of the set's own split, or None for all.
        group: Column of `meta.csv` with the kind of image.
        picture: Column with what stays on one side of the split: the picture, or the patient.

    Raises:
        DataError: a file or column is missing, a split is unknown or empty, or one picture lies on two sides.
    """
    root = Path(folder)
    meta = rows(root / "meta.csv", ("image_id", "split", group, picture), _NEEDS)
    meta = [{**row, "group": row[group], "mosaic_id": row[picture]} for row in meta]
    _refuse_leak(root, meta)
    points: dict[str, list[tuple[float, float, float]]] = {row["image_id"]: [] for row in meta}
    for row in rows(root / "centroids.csv", ("image_id", "y", "x"), _NEEDS):
        if row["image_id"] in points:
            points[row["image_id"]].append((*_point(root, row), _diameter(row.get("area_px"))))
    images = [_image(root, row, points[row["image_id"]]) for row in meta if split in (None, row["split"])]
    if not images:
        known = ", ".join(sorted({row["split"] for row in meta}))
        raise DataError(f"`split` must be one of {known} (got {split!r}, which has no images in {root}).")
    return sorted(images, key=lambda image: image.image_id)


def split_digest(images: list[NucleusImage]) -> str:
    """SHA-256 over (image, mosaic, split, number of points), so that a model can say which split it saw."""
    lines = sorted(f"{i.image_id},{i.mosaic_id},{i.split},{len(i.points)}" for i in images)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _image(root: Path, row: dict[str, str], points: list[tuple[float, float, float]]) -> NucleusImage:
    path = root / "images" / f"{row['image_id']}.png"
    if not path.is_file():
        raise DataError(f"{path} is missing, but meta.csv of {root} lists it. Restore the file, or drop its row.")
    table = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    array, diameters = np.ascontiguousarray(table[:, :2]), table[:, 2]
    return NucleusImage(row["image_id"], path, array, row["group"], row["mosaic_id"], row["split"], diameters)


def _diameter(area: str | None) -> float:
    """Of the disc of an area in pixels; NaN where there is none."""
    try:
        value = float(area) if area else math.nan
    except ValueError:
        return math.nan
    return 2 * math.sqrt(value / math.pi) if value > 0 else math.nan


def _point(root: Path, row: dict[str, str]) -> tuple[float, float]:
    try:
        y, x = float(row["y"]), float(row["x"])
    except (TypeError, ValueError):
        y = x = math.nan
    if not (math.isfinite(y) and math.isfinite(x)):
        raise DataError(
            f"{root / 'centroids.csv'} must have two finite numbers y and x for image {row['image_id']!r} (got "
            f"{row['y']!r} and {row['x']!r})."
        )
    return y, x


def _refuse_leak(root: Path, meta: list[dict[str, str]]) -> None:
    """A picture on two sides of the split would let a model be tested on what it was trained on."""
    side: dict[str, str] = {}
    for row in meta:
        if side.setdefault(row["mosaic_id"], row["split"]) != row["split"]:
            raise DataError(
                f"{root}: all crops of picture {row['mosaic_id']!r} must be in one split (got "
                f"{side[row['mosaic_id']]!r} and {row['split']!r})."
            )
