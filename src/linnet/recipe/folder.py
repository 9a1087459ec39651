"""The run folder of a recipe: which plan it holds, whether a stage's file is whole, and who works in it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from linnet.engine.files.tensor_file import Kind, kind_of, read_tensors
from linnet.errors import CheckpointError, RecipeError
from linnet.recipe.plan import Plan
from linnet.results import RunFolder, atomic_write

_log = logging.getLogger(__name__)

_LOCK = ".lock"
_EPOCHS = "train.epochs"


def folder_of(plan: Plan, out: Path | str | None) -> Path:
    """Where a plan's run goes.

    Raises:
        RecipeError: something else is there.
    """
    place = Path("runs") / plan.path.stem if out is None else Path(out)
    if not place.exists() or (place.is_dir() and not [path for path in place.iterdir() if path.name != _LOCK]):
        return place
    if not (place / "run.json").is_file():
        what = "a folder with other things in it" if place.is_dir() else "a file"
        raise RecipeError(f"{place} must be a new or empty folder for the run (got {what}). Give another `out`.")
    before, now = RunFolder.open(place).facts.get("settings"), plan.settings()
    compared = set[str]() if _is_longer(before, plan) else {_EPOCHS}
    differences = _differences(before, compared, now)
    if differences:
        raise RecipeError(
            f"{place} holds a run with other settings: {'; '.join(differences)}. Give another folder (`out`), or "
            "remove this one to start again."
        )
    return place


def is_prolonged(place: Path, plan: Plan) -> bool:
    """Whether a run with fewer epochs stands in the folder."""
    if not (place / "run.json").is_file():
        return False
    return _flat(RunFolder.open(place).facts["settings"])[_EPOCHS] != plan.train.epochs


def prolong(place: Path, plan: Plan, products: Sequence[str]) -> None:
    """Makes a run ready that now has more epochs than it was begun with: what it ended with is made anew.

    Args:
        place: Its folder, which holds the same plan but for the epochs.
        plan: The plan with more.
        products: Files of the stages.
    """
    facts = RunFolder.open(place).facts
    before = _flat(facts["settings"])[_EPOCHS]
    for product in products:
        (place / product).unlink(missing_ok=True)
    atomic_write(place / "run.json", json.dumps({**facts, "settings": plan.settings()}, indent=2) + "\n")
    _log.info("%s: %d epochs instead of %d; the training goes on.", place, plan.train.epochs, before)
    if plan.train.schedule != "constant":
        _log.warning(
            "The schedule %r of the learning rate ends later now, so that the rate rises again where it had fallen.",
            plan.train.schedule,
        )


def is_whole(path: Path) -> bool:
    """Whether a stage's file is there and, if it holds tensors, what its digest says it was when it was written."""
    if not path.exists():
        return False
    if path.suffix != ".safetensors":
        return True
    try:
        kind = kind_of(path)
        if kind is None:
            raise CheckpointError(f"{path} must be a file that linnet wrote.")
        read_tensors(path, Kind(kind, version=10**6))
    except CheckpointError as error:
        _log.warning("%s It is made again.", error)
        return False
    return True


@contextmanager
def only_one(place: Path) -> Iterator[None]:
    """Nobody else works in the folder meanwhile.

    Raises:
        RecipeError: another process does.
    """
    path = place / _LOCK
    with _locked(path) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path) -> TextIO:
    """The file, open and locked, and still the one at its path.

    Raises:
        RecipeError: another process has locked it.
    """
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            who = file.read().strip() or "unknown"
            file.close()
            raise RecipeError(
                f"{path.parent}: another process works in this run folder ({who}). Wait until it ends, or give "
                "another folder (`out`)."
            ) from None
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()  # the one that had it took it away meanwhile


def _is_longer(before: Any, plan: Plan) -> bool:
    """Whether the plan has at least the epochs of the run, where more can be added."""
    epochs = _flat(before).get(_EPOCHS) if isinstance(before, dict) else None
    fixed = plan.prune is not None or plan.hatch is not None  # their schedules are made for a number of steps
    return isinstance(epochs, int) and not fixed and plan.train.epochs >= epochs


def _differences(before: Any, compared: set[str], now: dict[str, Any]) -> list[str]:
    """What differs between two sets of settings, in words; the epochs only where they are named."""
    if not isinstance(before, dict):
        return ["it wasn't made from a recipe"]
    flat = [_flat(before), _flat(now)]
    names = [name for name in dict.fromkeys([*flat[0], *flat[1]]) if name != _EPOCHS or name in compared]
    absent = "not there"
    pairs = [(name, flat[0].get(name, absent), flat[1].get(name, absent)) for name in names]
    return [f"{name} was {old!r} and is {new!r}" for name, old, new in pairs if old != new]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{section}.{key}": value
        for section, values in settings.items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    }
