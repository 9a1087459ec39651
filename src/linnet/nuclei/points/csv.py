"""Detections as CSV, and the rows of any file like it."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.points.columns import MEAN, PointColumns, measured_columns

_MEASURED = ("confidence", "score", "sd_px", "diameter_px", "area_px", "area_um2")
COLUMNS = ("id", "y", "x", "y_um", "x_um", *_MEASURED, "flag")
"""All columns, in order; `REQUIRED` stand in every file, the others where they are known. Before the last one come
`mean_` and the name of a channel."""

REQUIRED = ("id", "y", "x", "score", "flag")


def to_csv(detections: PointColumns) -> str:
    """One line per nucleus.

    Columns: id (from 1), y, x in pixels (centres at integers), y_um, x_um, confidence, score, sd_px, diameter_px,
    area_px, area_um2, mean_ and the name of each channel, flag. A column that isn't known (micrometres without a pixel
    size, confidence of an uncalibrated model, diameters of a network that doesn't give them) isn't there. Numbers have
    as many digits as bring the same number back.
    """
    return "".join(csv_lines(detections))


def csv_lines(detections: PointColumns) -> Iterator[str]:
    """The lines of `to_csv`, one after the other."""
    known = _known_columns(detections)
    yield ",".join(["id", *known, "flag"]) + "\n"
    texts = [_texts(column) for column in known.values()]
    for number, row in enumerate(zip(*texts, strict=True), start=1):
        yield f"{number},{','.join(row)},{detections.flag}\n"


def _known_columns(detections: PointColumns) -> dict[str, NDArray[np.float64]]:
    """The columns of numbers that are known, by name and in the order of `COLUMNS`; of no nuclei the required ones."""
    size, points = detections.pixel_size_um, detections.points
    columns = {
        "y": points[:, 0],
        "x": points[:, 1],
        "y_um": None if size is None else points[:, 0] * size,
        "x_um": None if size is None else points[:, 1] * size,
        **measured_columns(detections),
    }
    return {k: v for k, v in columns.items() if v is not None and (len(points) or k in REQUIRED)}


def is_detection_header(header: Sequence[str]) -> bool:
    """Whether these columns are those of `to_csv`: the known ones in their order, means of channels before the last."""
    plain = [name for name in header if not name.startswith(MEAN)]
    means = list(header[len(plain) - 1 : -1])
    in_order = plain == [name for name in COLUMNS if name in plain] and set(REQUIRED) <= set(plain)
    return in_order and len(set(means)) == len(means) and [*plain[:-1], *means, plain[-1]] == list(header)


def csv_rows(text: str, name: str, delimiter: str = ",", width: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that isn't empty; all have `width` cells, but for empty ones at the end.

    Args:
        text: The lines.
        name: Name of the file, for messages.
        delimiter: What stands between cells.
        width: Cells of a line; those of the first when None.

    Raises:
        PointsError: a line has another number of cells, or quotes don't close.
    """
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if not row or not any(cell.strip() for cell in row):
                continue
            width = len(row) if width is None else width
            if len(row) > width and not any(cell.strip() for cell in row[width:]):
                row = row[:width]  # a comma at the end of each line
            if len(row) != width:
                raise PointsError(
                    f"{name}, line {reader.line_num}: {len(row)} cells, where the header has {width}. Mend or drop the "
                    "line."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise PointsError(f"{name}, line {reader.line_num}: this is no CSV ({error}). Export it again.") from error


def read_text(path: Path, *, fallback: str | None = None) -> tuple[str, bool]:
    """(the text of a file of points, whether it was read as `fallback`).

    UTF-8 with or without a byte order mark, UTF-16 with one.

    Args:
        path: The file.
        fallback: Encoding of text that is no UTF-8, or None to refuse it.

    Raises:
        PointsError: the file can't be read or isn't text.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PointsError(f"{path}: there is no such file. Check the spelling and the folder.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PointsError(f"{path}: can't be read ({reason}). Check the path and your permission to read it.") from None
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding), False
    except UnicodeDecodeError as error:
        if fallback is None or b"\0" in content or encoding == "utf-16":
            raise PointsError(
                f"{path}: this is no UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
            ) from None
        return content.decode(fallback, errors="replace"), True


def _texts(column: NDArray[np.float64]) -> Sequence[str]:
    return [repr(value) for value in np.asarray(column, dtype=np.float64).tolist()]
