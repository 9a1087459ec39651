"""Detections as CSV and back, byte for byte."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.detections import Count, Detections

COLUMNS = ("id", "y", "x", "y_um", "x_um", "confidence", "score", "sd_px", "flag")
_ULPS = 4


def to_csv(detections: Detections) -> str:
    """One line per nucleus.

    Columns: id (from 1), y, x in pixels (centres at integers), y_um, x_um, confidence, score, sd_px, flag.
    A column that isn't known (micrometres without a pixel size, confidence of an uncalibrated model) stays empty.
    Numbers have as many digits as bring the same number back.
    """
    return "".join(csv_lines(detections))


def csv_lines(detections: Detections) -> Iterator[str]:
    """The lines of `to_csv`, one after the other."""
    yield ",".join(COLUMNS) + "\n"
    size = detections.pixel_size_um
    columns = [
        *(detections.points[:, i] for i in (0, 1)),
        *(None if size is None else detections.points[:, i] * size for i in (0, 1)),
        detections.confidence,
        detections.score,
        detections.sd_px,
    ]
    texts = [_texts(column, len(detections)) for column in columns]
    for number, row in enumerate(zip(*texts, strict=True), start=1):
        yield f"{number},{','.join(row)},{detections.flag}\n"


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
    if tuple(header) != COLUMNS:
        raise PointsError(
            f"{name}: its columns are {', '.join(header) or 'missing'}; detections have {', '.join(COLUMNS)}. "
            "For points of another source use `read_points`."
        )
    table = [(line, row) for line, row in rows]
    values = {
        column: np.array([_value(row[i], column, name, line) for line, row in table], dtype=np.float64)
        for i, column in enumerate(COLUMNS[:-1])
    }
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
        flag=flag,
        pixel_size_um=_pixel_size(points, np.stack([values["y_um"], values["x_um"]], axis=1), name),
    )


def csv_rows(text: str, name: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that isn't empty; all have as many cells as the first.

    Raises:
        PointsError: a line has another number of cells, or quotes don't close.
    """
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    width = None
    try:
        for row in reader:
            if not row or not any(cell.strip() for cell in row):
                continue
            width = len(row) if width is None else width
            if len(row) != width:
                raise PointsError(
                    f"{name}, line {reader.line_num}: {len(row)} cells, where the header has {width}. Mend or drop the "
                    "line."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise PointsError(f"{name}, line {reader.line_num}: this is no CSV ({error}). Export it again.") from error


def read_text(path: Path) -> str:
    """The text of a file of points, UTF-8 with or without a byte order mark.

    Raises:
        PointsError: the file can't be read or isn't text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise PointsError(f"{path}: there is no such file. Check the spelling and the folder.") from None
    except UnicodeDecodeError as error:
        raise PointsError(
            f"{path}: this is no UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PointsError(f"{path}: can't be read ({reason}). Check the path and your permission to read it.") from None


def _texts(column: NDArray[np.float64] | None, rows: int) -> Sequence[str]:
    return [""] * rows if column is None else [repr(value) for value in np.asarray(column, dtype=np.float64).tolist()]


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
