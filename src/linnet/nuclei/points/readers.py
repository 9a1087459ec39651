"""Reading points: CSV with y and x, GeoJSON, and label images, whose centroids are taken."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from linnet.errors import PointsError
from linnet.nuclei.points.csv import csv_rows, read_text
from linnet.nuclei.points.geojson import from_geojson
from linnet.nuclei.read.formats import SUFFIXES, stem_of
from linnet.nuclei.read.images import read_image

TABLES = (".csv", ".tsv", ".txt")
GEOJSON = (".geojson", ".json")
# Files beside the points in a folder that `linnet nuclei detect` wrote.
_NOT_POINTS = ("counts.csv", "failed.csv", "run.json")
_Y, _X = ("y", "axis-0"), ("x", "axis-1")  # the second: napari's points layer


def read_points(path: str | Path, shape: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Points of one image.

    Args:
        path: A CSV file with the columns y and x (any order, other columns are left out; napari's axis-0 and axis-1 do
            too), in pixels with centres at integers; GeoJSON points (.geojson, .geojson.gz); or a label image (PNG,
            TIFF): 0 is background, each other value one nucleus, whose centroid is taken.
        shape: (h, w) of the image, to check that the points lie in it.

    Returns:
        (n, 2) float64 y, x in the order of the file, or of the labels.

    Raises:
        PointsError: the file can't be read, has no y and x, or holds what is no finite number or lies outside the
        image. ImageError: a label image can't be read.
    """
    path = Path(path)
    if is_label_image(path):
        points = _centroids(path, shape)
    elif _suffix(path) in GEOJSON:
        points = from_geojson(_json_text(path), name=str(path))
    else:
        points = _from_table(path)[0]
    _check_inside(points, shape, str(path))
    return points


def read_points_of_images(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """Points of many images.

    Args:
        path: A folder with a file of points per image (a folder that `linnet nuclei detect` wrote is one); a CSV file
            with a column `image`; or a file of one image.

    Returns:
        Name of the image, without its ending, to points (n, 2). The points of a single file stand under "image".

    Raises:
        PointsError: nothing is found, two files have one name, or a file can't be read.
        ImageError: a label image can't be read.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if not is_label_image(path) and _suffix(path) not in GEOJSON:
        points, images = _from_table(path)
        if images is not None:
            groups: dict[str, list[int]] = {}
            for row, image in enumerate(images):
                groups.setdefault(stem_of(Path(image)), []).append(row)
            return {image: points[rows] for image, rows in groups.items()}
    return {"image": read_points(path)}


def is_label_image(path: Path) -> bool:
    """Whether a file of this name is taken for a label image."""
    return path.suffix.lower() in SUFFIXES


def centroids(labels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Centroids of a label image: (n, 2) y, x in the order of the labels; 0 is background.

    Args:
        labels: (h, w), whole numbers from 0.
    """
    values, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape)
    y, x = np.nonzero(index if values[0] == 0 else index + 1)
    of = index[y, x]
    areas = np.bincount(of, minlength=len(values))
    sums = np.stack([np.bincount(of, weights=at, minlength=len(values)) for at in (y, x)], axis=1)
    present = areas > 0
    return sums[present] / areas[present, None]


def _from_folder(folder: Path) -> dict[str, NDArray[np.float64]]:
    known = (*TABLES[:2], *GEOJSON[:1], *SUFFIXES)
    files = sorted(
        f
        for f in folder.iterdir()
        if f.is_file() and _suffix(f) in known and f.name not in _NOT_POINTS and not f.name.startswith(".")
    )
    # A folder of results has points, GeoJSON and overlay pictures side by side: tables first, then the next kind.
    for kind in (TABLES, GEOJSON, SUFFIXES):
        chosen = [f for f in files if _suffix(f) in kind]
        if chosen:
            break
    else:
        raise PointsError(
            f"{folder}: there are no points in this folder. Files with y and x (.csv), GeoJSON or label images were "
            "needed."
        )
    found: dict[str, NDArray[np.float64]] = {}
    for file in chosen:
        stem = stem_of(file)
        if stem in found:
            raise PointsError(f"{folder}: two files hold points of {stem!r}, {file.name} is one. Keep one of them.")
        found[stem] = read_points(file)
    return found


def _from_table(path: Path) -> tuple[NDArray[np.float64], list[str] | None]:
    """(points, the column `image` when there is one)."""
    text = read_text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv_rows(text, str(path), delimiter)
    header = [cell.strip().lower() for cell in next(rows, (0, []))[1]]
    y, x = (_column(header, names, path) for names in (_Y, _X))
    image = header.index("image") if "image" in header else None
    points, images = [], []
    for line, row in rows:
        points.append([_number(row[i], header[i], path, line, decimal_comma=delimiter == ";") for i in (y, x)])
        if image is not None:
            images.append(row[image])
    return np.array(points, dtype=np.float64).reshape(-1, 2), images if image is not None else None


def _column(header: list[str], names: tuple[str, ...], path: Path) -> int:
    places = [i for i, cell in enumerate(header) if cell in names]
    if len(places) == 1:
        return places[0]
    what = f"has {len(places)} columns {names[0]}" if places else f"has no column {names[0]}"
    found = ", ".join(header)[:120] or "nothing"
    raise PointsError(
        f"{path}: it {what} (found: {found}). A first line that names the columns y and x was needed, like: y,x"
    )


def _number(cell: str, column: str, path: Path, line: int, *, decimal_comma: bool) -> float:
    text = cell.strip().replace(",", ".") if decimal_comma else cell.strip()
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or not math.isfinite(value):
        what = "empty" if not text else f"{cell.strip()[:40]!r}, which is no finite number"
        raise PointsError(f"{path}, line {line}: {column} is {what}. Mend or drop the line.")
    return value


def _check_inside(points: NDArray[np.float64], shape: tuple[int, int] | None, name: str) -> None:
    if shape is None or not len(points):
        return
    h, w = shape
    outside = (points < -0.5).any(axis=1) | (points[:, 0] >= h - 0.5) | (points[:, 1] >= w - 0.5)
    if outside.any():
        y, x = points[np.argmax(outside)]
        raise PointsError(
            f"{name}: {int(outside.sum())} of {len(points)} points lie outside the image of {h} rows and {w} columns, "
            "the "
            f"first at y = {y:g}, x = {x:g}. Are y and x swapped, in micrometres, or of another image?"
        )


def _centroids(path: Path, shape: tuple[int, int] | None) -> NDArray[np.float64]:
    labels = np.asarray(read_image(path).pixels)
    if labels.ndim != 2:
        raise PointsError(
            f"{path}: this is a colour picture; a label image has one channel with a number for each nucleus. Export "
            "the "
            "labels themselves (16-bit PNG or TIFF), not a coloured view of them."
        )
    if shape is not None and labels.shape != tuple(shape):
        raise PointsError(
            f"{path}: the label image has {labels.shape[0]} rows and {labels.shape[1]} columns, the image {shape[0]} "
            "and "
            f"{shape[1]}. Each pixel needs its label."
        )
    if labels.dtype.kind == "f" and not _whole(labels.astype(np.float64)):
        raise PointsError(f"{path}: labels are whole numbers from 0; this holds negative or broken numbers.")
    foreground = labels != 0
    if foreground.any() and np.ptp(labels[foreground].astype(np.float64)) == 0:
        labelled: Any = ndimage.label(foreground, np.ones((3, 3)))
        pieces = int(labelled[1])
        if pieces > 1:
            raise PointsError(
                f"{path}: this is a mask, not a label image: one value in {pieces} separate pieces. Touching nuclei "
                "can't be "
                "told apart in it; number the pieces first, e.g. skimage.measure.label(mask)."
            )
    return centroids(labels)


def _whole(values: NDArray[np.float64]) -> bool:
    return bool(((values >= 0) & (values == np.floor(values))).all())


def _json_text(path: Path) -> str:
    if path.suffix.lower() != ".gz":
        return read_text(path)
    try:
        with gzip.open(path) as file:
            return file.read().decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise PointsError(f"{path}: can't be read as gzipped GeoJSON ({error}). Export it again.") from error


def _suffix(path: Path) -> str:
    """The ending that tells the format, under a ".gz"."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
