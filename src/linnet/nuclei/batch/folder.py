"""The folder of a batch's results: made, kept apart from those of another run, or cleared of them."""

import json
from pathlib import Path
from typing import Any

from linnet.errors import InputError

OF_ALL = ("counts.csv", "failed.csv", "report.html", "run.json")
"""Files about the whole batch."""


def prepared(out: Path, *, overwrite: bool) -> Path:
    """The folder, made when it isn't there and without the results of another run.

    Args:
        out: The folder.
        overwrite: Removes what another run lists as its files; nothing else is touched.

    Raises:
        InputError: it can't be a folder, or holds the results of another run.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out}: the results go into a folder, but this is a file. Choose another place.") from None
    except OSError as error:
        raise InputError(f"{out}: this folder can't be made ({error.strerror}). Choose another.") from error
    if holds_results(out):
        if not overwrite:
            raise InputError(
                f"{out}: this folder holds the results of another run, which would be mixed with these. Choose another "
                f"folder, such as {free(out)}, or replace them by `overwrite`."
            )
        _clear(out)
    return out


def holds_results(out: Path) -> bool:
    """Whether a batch has left results in a folder."""
    return any((out / name).exists() for name in ("counts.csv", "run.json"))


def free(out: Path) -> Path:
    """The folder, or the first of found-2, found-3, ... that holds no results.

    Example:
        >>> free(Path("surely-not-here"))
        PosixPath('surely-not-here')
    """
    place, number = out, 2
    while holds_results(place) or place.is_file():
        place, number = out.with_name(f"{out.name}-{number}"), number + 1
    return place


def _clear(out: Path) -> None:
    """Removes the files that the run in a folder lists, and those about the whole of it."""
    for name in (*_listed(out), *OF_ALL):
        place = out / name
        if place.parent == out and place.is_file():
            place.unlink()


def _listed(out: Path) -> list[str]:
    try:
        run: Any = json.loads((out / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []  # an older or broken list: only the files about the whole batch are known
    names = run.get("files") if isinstance(run, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
