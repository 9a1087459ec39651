"""What a study has kept, checked when it goes on: its records, and the networks that others start from."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from linnet.engine.trials.trial import Finished
from linnet.errors import CheckpointError, InputError, TrainingError
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.detector.files import load
from linnet.nuclei.transfer.counts import FACT, RADII
from linnet.nuclei.transfer.description import Description
from linnet.nuclei.transfer.trainings import VALIDATION
from linnet.results import Record

_STAGES = ("shipped", "alone", "mixture", "others", "shots")


def check_records(path: Path, finished: Finished, study: Description) -> None:
    """Refuses records that the page couldn't be written from.

    Args:
        path: Their file, for the error.
        finished: The records by trial.
        study: What they are of.

    Raises:
        InputError: a record lacks its counts, or has those of other groups or pictures.
    """
    pictures: dict[str, set[str]] = {}
    for key, record in finished.items():
        try:
            fault = _fault(record, study, pictures)
        except (KeyError, ValueError, TypeError, AttributeError):
            fault = "its counts are missing or damaged"
        if fault:
            raise InputError(
                f"{path}: the record of the training `{key}` can't be used: {fault}. Remove its line; the same command "
                "does that training again."
            )


def kept_network(path: Path) -> Detector:
    """The network of a finished training.

    Raises:
        InputError: its file is damaged.
    """
    try:
        return load(path)
    except (CheckpointError, InputError) as error:
        raise InputError(
            f"{path} can't be read: the network of a finished training is damaged. Remove the file; the same command "
            "makes it again where it is needed."
        ) from error


@contextmanager
def keeping(path: Path) -> Iterator[None]:
    """Writes a file of a study.

    Raises:
        TrainingError: it can't be written; what was finished before stays.
    """
    try:
        yield
    except CheckpointError as error:  # a network's file says itself what is wrong
        raise TrainingError(f"{error} The finished trainings are kept, and the same command goes on.") from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise TrainingError(
            f"{path} can't be written ({'the disk is full' if full else error.strerror}). The finished trainings are "
            f"kept: {'make room' if full else 'mend that'}, and the same command goes on."
        ) from error


def _fault(record: Record, study: Description, pictures: dict[str, set[str]]) -> str:
    """What is wrong with a record, or ""; `pictures` has the test pictures of each group, as the first record has."""
    if record.context["stage"] not in _STAGES:
        return f"its stage must be one of {', '.join(_STAGES)} (got {record.context['stage']!r})"
    if record.context["stage"] == "alone":
        json.loads(str(record.context[VALIDATION])).items()
    counts: Mapping[str, Mapping[str, Mapping[str, Any]]] = json.loads(str(record.context[FACT]))
    for group, by_radius in counts.items():
        if group not in study.groups:
            return f"it was tested on the group `{group}`, which the plan doesn't have"
        for radius in RADII:
            rows = by_radius[radius]
            if not rows or not all(len(row) == 3 and min(row) >= 0 for row in rows.values()):
                return f"its counts on the group `{group}` are damaged"
            if pictures.setdefault(group, set(rows)) != set(rows):
                return f"its test pictures of the group `{group}` aren't those of the other records"
    return ""
