"""Detections from the CSV that linnet wrote, byte for byte."""

import math

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.points.columns import MEAN, Count
from linnet.nuclei.points.csv import COLUMNS, csv_rows, is_detection_header
from linnet.nuclei.points.detections import Detections

_ULPS = 4  # a pixel size read back from rounded micrometres lies within these of the quotient


def from_csv(text: str, *, name: str = "CSV", shape: tuple[int, int] | None = None) -> Detections:
    """The detections that `to_csv` wrote; writing them again gives the same bytes.

    Args:
        text: The file's content.
        name: Its name, for messages.
        shape: (h, w) of the image, which the file doesn't hold; the smallest that has all points when None.

    Raises:
        PointsError: a column is missing or holds something else; names the line.
    """
    rows = csv_rows(text, name)
    header = next(rows, (0, []))[1]
    if not is_detection_header(header):
        raise PointsError(
            f"{name}: its columns are {', '.join(header) or 'missing'}; detections have {', '.join(COLUMNS)}, some of "
            "which may be left out. For points of another source use `read_points`."
        )
    table = [(line, row) for line, row in rows]
    values = {
        column: np.array([_value(row[i], column, name, line) for line, row in table], dtype=np.float64)
        for i, column in enumerate(header[:-1])
    }
    intensities = {column.removeprefix(MEAN): v for column, v in values.items() if column.startswith(MEAN)}
    values = {column: values.get(column, np.full(len(table), np.nan)) for column in COLUMNS[:-1]}
    points = np.stack([values["y"], values["x"]], axis=1)
    for column in ("y", "x", "score"):
        if not np.isfinite(values[column]).all():
            raise PointsError(f"{name}: the column {column} has gaps. Write the file again.")
    flag = table[0][1][-1] if table else "ok"
    return Detections(
        points=points,
        score=values["score"],
        shape=shape or _shape(points),
        count=Count(len(points)),
        confidence=_known(values["confidence"], "confidence", name),
        sd_px=_known(values["sd_px"], "sd_px", name),
        diameters_px=_known(values["diameter_px"], "diameter_px", name),
        intensities=intensities,
        flag=flag,
        pixel_size_um=_pixel_size(points, np.stack([values["y_um"], values["x_um"]], axis=1), name),
    )


def _value(cell: str, column: str, name: str, line: int) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        raise PointsError(f"{name}, line {line}: {cell!r} in the column {column} is not a number.") from None


def _known(values: NDArray[np.float64], column: str, name: str) -> NDArray[np.float64] | None:
    """The column, or None when it is empty in every line."""
    missing = np.isnan(values)
    if missing.all():
        return None
    if missing.any():
        raise PointsError(f"{name}: the column {column} is filled in some lines only. Write the file again.")
    return values


def _pixel_size(points: NDArray[np.float64], microns: NDArray[np.float64], name: str) -> float | None:
    """The number that gives every micrometre value exactly: the roundest of those that do."""
    if _known(microns.ravel(), "y_um or x_um", name) is None:
        return None
    at = np.unravel_index(np.argmax(np.abs(points)), points.shape)
    if points[at] == 0:
        return 1.0  # every point lies at 0: any size gives these micrometres
    ratio = float(microns[at] / points[at])
    near = [ratio]
    for direction in (-math.inf, math.inf):
        step = ratio
        for _ in range(_ULPS):
            step = math.nextafter(step, direction)
            near.append(step)
    fitting = [size for size in near if size > 0 and np.array_equal(points * size, microns)]
    if not fitting:
        raise PointsError(f"{name}: y_um and x_um don't belong to y and x. Write the file again.")
    return min(fitting, key=lambda size: (len(repr(size)), size))


def _shape(points: NDArray[np.float64]) -> tuple[int, int]:
    if not len(points):
        return (1, 1)
    h, w = np.maximum(np.floor(points.max(axis=0) + 0.5).astype(int) + 1, 1)
    return int(h), int(w)
