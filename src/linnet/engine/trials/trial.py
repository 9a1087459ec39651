"""A training of a study, told by plain values, and which of them are finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from linnet.errors import InputError
from linnet.results import Record, read_records
from linnet.results.record import Fact


@dataclass(frozen=True)
class Trial:
    """One training that is to be done, told by plain values.

    Attributes:
        stage: The part of the study.
        settings: All that tells it from the other trials of the stage.
    """

    stage: str
    settings: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Stage and settings as one text, the same whatever the order of the settings."""
        told = " ".join(f"{name}={value!r}" for name, value in sorted(self.settings.items()))
        return f"{self.stage} {told}".strip()


Finished = Mapping[str, Record]
"""The record of each finished trial, by the trial's key."""

NextTrials = Callable[[Finished], Sequence[Trial]]
"""From what is finished to all trials that can be done now, the most important first; finished ones may be among them.

It must be a function of the records alone: that is what makes a study resumable.
"""


@dataclass(frozen=True)
class Outcome:
    """How far a study came.

    Attributes:
        finished: All records, those of earlier starts among them.
        done_now: Trials of this start.
        left: Trials that could be done next but weren't, because time was up.
        wall_s: Seconds that this start took.
    """

    finished: Finished
    done_now: int
    left: Sequence[Trial]
    wall_s: float


def finished_trials(path: Path) -> dict[str, Record]:
    """The finished trials of a file of records; empty when there is no file.

    Raises:
        InputError: the file has a record without a trial, or two of one trial.
    """
    found: dict[str, Record] = {}
    for record in read_records(path) if path.exists() else []:
        key = str(record.context.get("trial", ""))
        if not key or key in found:
            raise InputError(f"{path}: a record of the trial `{key}` is there twice, or has no trial. Remove the line.")
        found[key] = record
    return found


def unfinished(next_trials: NextTrials, finished: Finished) -> list[Trial]:
    """The trials that can be done now and have no record yet."""
    return [trial for trial in next_trials(finished) if trial.key not in finished]
