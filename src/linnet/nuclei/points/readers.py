"""Reading points: tables, GeoJSON, ROIs and markers of ImageJ, and label images, whose centroids are taken."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.points.csv import read_text
from linnet.nuclei.points.geojson import from_geojson
from linnet.nuclei.points.imagej import MARKERS, ROIS, read_markers, read_rois
from linnet.nuclei.points.labels import ARRAYS, centroids, is_label_image, label_points
from linnet.nuclei.points.table import by_image, read_table
from linnet.nuclei.read.formats import SUFFIXES, stem_of

__all__ = ["GEOJSON", "TABLES", "centroids", "is_label_image", "read_points", "read_points_of_images"]

TABLES = (".csv", ".tsv", ".txt", ".xls")  # ImageJ names its tables .xls although they are text
GEOJSON = (".geojson", ".json")
# Files beside the points in a folder that `linnet nuclei detect` wrote.
_NOT_POINTS = ("counts.csv", "failed.csv", "run.json")
_KINDS = (TABLES, GEOJSON[:1], ROIS, MARKERS, (*SUFFIXES, *ARRAYS))
_IN_FOLDERS = (".csv", ".tsv", ".txt", ".xls", ".geojson", ".roi", ".zip", ".xml", *SUFFIXES, *ARRAYS)


def read_points(
    path: str | Path, shape: tuple[int, int] | None = None, *, pixel_size_um: float | None = None
) -> NDArray[np.float64]:
    """Points of one image.

    Args:
        path: A table with columns of y and x as some thirty programs write it (CSV, TSV, text), in pixels with centres
            at integers; GeoJSON points, cells and areas (.geojson, .geojson.gz, .json); ROIs (.roi, .zip) or Cell
            Counter markers (.xml) of ImageJ; or a label image (PNG, TIFF, .npy): 0 is background, each other value one
            nucleus, whose centroid is taken.
        shape: (h, w) of the image, to check that the points lie in it.
        pixel_size_um: Side of a pixel in micrometres, for tables that have micrometres only.

    Returns:
        (n, 2) float64 y, x in the order of the file, or of the labels.

    Raises:
        PointsError: the file can't be read, has no y and x, belongs to several images, or holds what is no finite
        number or lies outside the image. ImageError: a label image can't be read.
    """
    path = Path(path)
    found = _read(path, shape, pixel_size_um)
    if len(found) > 1:
        names = ", ".join(map(repr, list(found)[:5]))
        raise PointsError(
            f"{path}: it has points of {len(found)} images ({names}, ...). Read it by `read_points_of_images`, or keep "
            "the rows of one image."
        )
    points = next(iter(found.values()), np.zeros((0, 2)))
    _check_inside(points, shape, str(path))
    return points


def read_points_of_images(path: str | Path, *, pixel_size_um: float | None = None) -> dict[str, NDArray[np.float64]]:
    """Points of many images.

    Args:
        path: A folder with a file of points per image (a folder that `linnet nuclei detect` wrote is one); a table with
            a column `image`; or a file of one image.
        pixel_size_um: As in `read_points`.

    Returns:
        Name of the image, without its ending, to points (n, 2). The points of a single file stand under "image".

    Raises:
        PointsError: nothing is found, two files have one name, or a file can't be read.
        ImageError: a label image can't be read.
    """
    path = Path(path)
    return _from_folder(path, pixel_size_um) if path.is_dir() else _read(path, None, pixel_size_um)


def _read(path: Path, shape: tuple[int, int] | None, pixel_size_um: float | None) -> dict[str, NDArray[np.float64]]:
    """Points of a file by image; under "image" where it names none."""
    suffix = _suffix(path)
    if is_label_image(path):
        return {"image": label_points(path, shape)}
    if suffix in GEOJSON:
        return {"image": from_geojson(_json_text(path), name=str(path))}
    if suffix in ROIS:
        return {"image": read_rois(path)}
    if suffix in MARKERS:
        return {"image": read_markers(path)}
    table = read_table(path, pixel_size_um=pixel_size_um)
    named = by_image(table)
    return {"image": table.points} if named is None else named


def _from_folder(folder: Path, pixel_size_um: float | None) -> dict[str, NDArray[np.float64]]:
    files = sorted(
        f
        for f in folder.iterdir()
        if f.is_file()
        and _suffix(f) in _IN_FOLDERS
        and f.name not in _NOT_POINTS
        and not f.name.startswith(".")
        and not f.name.lower().endswith(".overlay.png")
    )
    # A folder of results has points, GeoJSON and overlay pictures side by side: tables first, then the next kind.
    for kind in _KINDS:
        chosen = [f for f in files if _suffix(f) in kind]
        if chosen:
            break
    else:
        raise PointsError(
            f"{folder}: there are no points in this folder. Files with y and x (.csv), GeoJSON, ROIs of ImageJ or "
            "label images were needed."
        )
    found: dict[str, NDArray[np.float64]] = {}
    for file in chosen:
        stem = stem_of(file)
        if stem in found:
            raise PointsError(f"{folder}: two files hold points of {stem!r}, {file.name} is one. Keep one of them.")
        found[stem] = read_points(file, pixel_size_um=pixel_size_um)
    return found


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


def _json_text(path: Path) -> str:
    if path.suffix.lower() != ".gz":
        return read_text(path)[0]
    try:
        with gzip.open(path) as file:
            return file.read().decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise PointsError(f"{path}: can't be read as gzipped GeoJSON ({error}). Export it again.") from error


def _suffix(path: Path) -> str:
    """The ending that tells the format, under a ".gz"."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
