"""Tables of points, as spreadsheets and some thirty programs write them."""

import csv
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.points.column_names import TableColumns, TwiceError, micrometres, point_columns
from linnet.nuclei.points.csv import csv_rows, read_text
from linnet.nuclei.read.formats import SUFFIXES, stem_of

_log = logging.getLogger(__name__)

_HEADING_WITHIN = 40  # lines in which the heading is looked for: titles and comments may stand above it
_EXPLAINED = 4  # lines under TrackMate's heading that explain it again
_COMMENTS = ("#", "%", "//")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
_ASKED = "A first line that names the columns y and x was needed, like: y,x"


@dataclass(frozen=True)
class PointTable:
    """Points of a table.

    Attributes:
        points: (n, 2) y, x in pixels with centres at integers.
        images: Name of the image of each point as the table has it, or None when it names none.
    """

    points: NDArray[np.float64]
    images: list[str] | None


@dataclass(frozen=True)
class _Heading:
    line: int  # from 0
    cells: list[str]
    delimiter: str
    columns: TableColumns


def read_table(path: Path, *, pixel_size_um: float | None = None) -> PointTable:
    """The points of a table with a heading that names y and x.

    Comma, semicolon, tab or spaces between the cells; a comma as decimal sign where it doesn't part cells; Excel's
    `sep=;`; comments; UTF-8, UTF-16 or Latin-1. Columns as `point_columns` knows them.

    Args:
        path: The file.
        pixel_size_um: Side of a pixel in micrometres, for tables that have micrometres only.

    Raises:
        PointsError: y and x aren't named, or a cell holds no finite number; names the line.
    """
    text, as_latin = read_text(path, fallback="cp1252")
    try:
        return _points(text, path, pixel_size_um)
    except PointsError as error:
        if not as_latin:
            raise
        raise PointsError(f"{error} The file is no UTF-8 text and was read as Latin-1.") from None


def _points(text: str, path: Path, pixel_size_um: float | None) -> PointTable:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    heading = _heading(lines, path)
    columns = heading.columns
    body = [""] * (heading.line + 1) + [_bare(line) for line in lines[heading.line + 1 :]]
    if heading.delimiter == " ":
        body = [" ".join(line.split()) for line in body]
    rows = list(csv_rows("\n".join(body) + "\n", str(path), heading.delimiter, width=len(heading.cells)))
    um_per_unit = columns.um_per_unit
    if columns.several_headers:
        rows, um_per_unit = _unexplained(rows, columns, um_per_unit)
    values = [[_mean(row, at, heading, path, line) for at in (columns.y, columns.x)] for line, row in rows if any(row)]
    points = np.array(values, dtype=np.float64).reshape(-1, 2)
    if um_per_unit is not None:
        points = points * (um_per_unit / _pixel_size(pixel_size_um, columns, path))
    cells = [row for _, row in rows]
    _say_planes(cells, columns, path)
    return PointTable(points - columns.origin, _images(cells, heading, path))


def _heading(lines: Sequence[str], path: Path) -> _Heading:
    """The first line in which a pair of known names stands; a commented line only where no other does."""
    start, given = (1, lines[0].strip()[4:]) if lines and lines[0].strip().lower().startswith("sep=") else (0, "")
    first = next((line for line in lines[start:] if line.strip()), "")
    for commented in (False, True):
        for number, line in enumerate(lines[start : start + _HEADING_WITHIN], start=start):
            if line.lstrip().startswith(_COMMENTS) != commented:
                continue
            shown = line.lstrip("#%/ \t") if commented else line
            for delimiter in (given,) if given else (*sorted("\t;,", key=shown.count, reverse=True), " "):
                cells = _cells(shown, delimiter)
                try:
                    columns = point_columns(cells)
                except TwiceError as error:
                    found = ", ".join(cell.strip() for cell in cells)[:120]
                    raise PointsError(f"{path}: it has 2 columns {error} (found: {found}). {_ASKED}") from None
                if columns is not None:
                    _refuse_outlines(cells, path)
                    return _Heading(number, cells, delimiter, columns)
    raise _no_heading(first, path)


def _refuse_outlines(cells: Sequence[str], path: Path) -> None:
    if "coords_x" in (cell.strip().lower() for cell in cells):
        raise PointsError(
            f"{path}: its columns coords_x and coords_y hold outlines, and a table of points has one y and one x in a "
            "row. Export the outlines as GeoJSON, whose centroids are taken."
        )


def _no_heading(first: str, path: Path) -> PointsError:
    delimiter = max("\t;,", key=first.count)
    cells = [cell.strip().lower() for cell in _cells(first, delimiter)] if first else []
    found = ", ".join(cells)[:120] or "nothing"
    if cells and all(_is_number(cell) for cell in cells):
        return PointsError(
            f"{path}: its first line holds numbers (found: {found}), so nothing says which of them are y and x. Put a "
            "line above it that names the columns, like: y,x; ImageJ's lists of coordinates have x first."
        )
    return PointsError(f"{path}: it has no columns of y and x (found: {found}). {_ASKED}")


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _bare(line: str) -> str:
    """The line; nothing where it is a comment."""
    return "" if line.lstrip().startswith("#") else line


def _unexplained(
    rows: list[tuple[int, list[str]]], columns: TableColumns, um_per_unit: float | None
) -> tuple[list[tuple[int, list[str]]], float | None]:
    """The rows without those that explain the heading, and the unit that one of them names."""
    kept = []
    for place, (line, row) in enumerate(rows):
        cell = row[columns.y[0]].strip()
        if place < _EXPLAINED and not _is_number(cell):
            um_per_unit = micrometres(cell) or um_per_unit
        else:
            kept.append((line, row))
    return kept, um_per_unit


def _mean(row: list[str], at: tuple[int, ...], heading: _Heading, path: Path, line: int) -> float:
    comma = heading.delimiter != ","
    values = [_number(row[i], heading.cells[i].strip().lower(), path, line, decimal_comma=comma) for i in at]
    return sum(values) / len(values)


def _number(cell: str, column: str, path: Path, line: int, *, decimal_comma: bool) -> float:
    text = cell.strip()
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        value = float(text) if "_" not in text else None
    except ValueError:
        value = None
    if value is None or not math.isfinite(value):
        what = "empty" if not text else f"{cell.strip()[:40]!r}, which is no finite number"
        raise PointsError(f"{path}, line {line}: {column} is {what}. Mend or drop the line.")
    return value


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def _pixel_size(pixel_size_um: float | None, columns: TableColumns, path: Path) -> float:
    if pixel_size_um is None:
        raise PointsError(
            f"{path}: its points are in micrometres (columns {columns.names[0]} and {columns.names[1]}), and the side "
            "of a pixel isn't known. Give `pixel_size_um`, or export the points in pixels."
        )
    return pixel_size_um


def _say_planes(rows: Sequence[Sequence[str]], columns: TableColumns, path: Path) -> None:
    for at in columns.planes:
        planes = {row[at].strip() for row in rows}
        if len(planes) > 1:
            _log.warning("%s: its points lie in %d planes or frames; all of them are taken.", path, len(planes))
            return


def _images(rows: Sequence[Sequence[str]], heading: _Heading, path: Path) -> list[str] | None:
    columns = heading.columns
    for at in columns.images:
        names = [row[at].strip() for row in rows]
        if not names or all(names):
            return names
    label = next((i for i, cell in enumerate(heading.cells) if cell.strip().lower() == "label"), None)
    if label is not None and rows:  # ImageJ: the title of the image, and after a colon its slice
        names = [row[label].strip().split(":")[0] for row in rows]
        if all(name.lower().endswith(SUFFIXES) for name in names):
            return names
    if columns.numbered is not None:
        numbers, name = {row[columns.numbered].strip() for row in rows}, heading.cells[columns.numbered]
        if len(numbers) > 1:
            raise PointsError(
                f"{path}: its points belong to {len(numbers)} images that have only numbers ({name}). Add "
                "a column `image` with the file names (in CellProfiler: export FileName), or split the table."
            )
    return None


def by_image(table: PointTable) -> dict[str, NDArray[np.float64]] | None:
    """Points by the image's name without its ending, or None for a table that names no image."""
    if table.images is None:
        return None
    groups: dict[str, list[int]] = {}
    for row, image in enumerate(table.images):
        groups.setdefault(stem_of(Path(image)), []).append(row)
    return {image: table.points[rows] for image, rows in groups.items()}
