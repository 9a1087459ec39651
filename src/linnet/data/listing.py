"""Tables and pictures of a folder of images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from linnet.errors import DataError

Row = dict[str, str]


def rows(path: Path, columns: Sequence[str], needs: str) -> list[Row]:
    """The lines of a table.

    Args:
        path: A CSV file.
        columns: Those that it must have.
        needs: What a folder of this kind holds, for the error.

    Raises:
        DataError: it can't be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [c for c in columns if c not in (reader.fieldnames or ())]
            if missing:
                held = ", ".join(reader.fieldnames or ()) or "no line"
                raise DataError(f"{path} must have the column {', '.join(missing)} (it has {held}). {needs}")
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} can't be read ({reason}). {needs}") from error


def grey(path: Path) -> np.ndarray:
    """A picture as uint8 (h, w), 1-bit ones as 0 and 255.

    Raises:
        DataError: it is missing, or isn't a picture.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} isn't a readable image ({error}). Restore the file.") from error


def require_one_side(path: Path, listed: Sequence[Row], group: str) -> None:
    """Refuses a group of like images on two sides of a split.

    Raises:
        DataError: a model would be tested on what it was trained on.
    """
    side: dict[str, str] = {}
    for row in listed:
        if side.setdefault(row[group], row["split"]) != row["split"]:
            raise DataError(
                f"{path}: all images of {group} {row[group]!r} must be in one split (got {side[row[group]]!r} and "
                f"{row['split']!r})."
            )
