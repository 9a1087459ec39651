"""A study: many trainings, a record of each in a file that survives every kill, in processes, while there is time."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from linnet.errors import InputError
from linnet.results import Record, append_record, read_records
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


def carry_out(
    path: Path,
    next_trials: NextTrials,
    run: Callable[[Trial], Record],
    *,
    workers: int,
    minutes: float | None = None,
    told: Callable[[Record, int], None] = lambda record, count: None,
) -> Outcome:
    """Does the trials that aren't finished, the most important first, and keeps each record the moment it is there.

    A trial counts as finished when its whole line is on disk. A process killed at any point loses the trials under way
    and nothing else; the same call goes on with them.

    Args:
        path: File of the records.
        next_trials: What can be done, given what is finished.
        run: Does one trial: a function of a module, as worker processes must find it by name.
        workers: Processes with one thread each; 0 does the trials in this process.
        minutes: No trial is begun after so much time; None: all are done.
        told: Called with each new record and the number of finished trials.

    Raises:
        InputError: another process is at this file, or the file can't be used.
    """
    began = time.monotonic()
    with _alone(path):
        finished = finished_trials(path)
        before = len(finished)
        for record in _records(finished, next_trials, run, workers, began, minutes):
            append_record(path, record)
            finished[str(record.context["trial"])] = record
            told(record, len(finished))
    return Outcome(finished, len(finished) - before, _left(next_trials, finished), time.monotonic() - began)


def _records(
    finished: dict[str, Record],
    next_trials: NextTrials,
    run: Callable[[Trial], Record],
    workers: int,
    began: float,
    minutes: float | None,
) -> Iterator[Record]:
    """Records as they come; `finished` is asked again before each trial: the caller puts the last one in."""

    def in_time() -> bool:
        return minutes is None or time.monotonic() - began < 60 * minutes

    if workers == 0:
        while in_time() and (left := _left(next_trials, finished)):
            yield _with_key(run(left[0]), left[0])
        return
    under_way: dict[Future[Record], Trial] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        while True:
            busy = {trial.key for trial in under_way.values()}
            free = [trial for trial in _left(next_trials, finished) if trial.key not in busy] if in_time() else []
            for trial in free[: workers - len(under_way)]:
                under_way[pool.submit(run, trial)] = trial
            if not under_way:
                return
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                trial = under_way.pop(future)
                yield _with_key(future.result(), trial)


def _left(next_trials: NextTrials, finished: Finished) -> list[Trial]:
    return [trial for trial in next_trials(finished) if trial.key not in finished]


def _with_key(record: Record, trial: Trial) -> Record:
    """The record with its trial's key, stage and settings in its context."""
    context = {"trial": trial.key, "stage": trial.stage, **trial.settings, **record.context}
    return replace(record, context=context)


def _begin_worker() -> None:
    """One thread a process, out of reach of Ctrl-C (the parent hears it), and an end with the parent's."""
    import torch

    if hasattr(os, "setsid"):
        os.setsid()

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds the file's lock, so that two processes never write one file; a killed process loses it by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        if not _locked(file):
            raise InputError(f"{path}: another process is at this study. Wait for it, or give another folder (--out).")
        yield


def _locked(file: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; there the user takes care
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
