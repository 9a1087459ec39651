"""A study's trials done one by one or side by side, a record of each in a file that survives every kill."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from linnet.engine.trials.trial import NextTrials, Outcome, Trial, finished_trials, unfinished
from linnet.errors import InputError, TrainingError
from linnet.results import Record, append_record

Run = Callable[[Trial], Record]
Pool = Callable[[], AbstractContextManager[Executor]]
"""Opens an executor, such as that of a cluster; its `submit(run, trial)` gives a future of the record."""


def carry_out(
    path: Path,
    next_trials: NextTrials,
    run: Run,
    *,
    workers: int,
    minutes: float | None = None,
    told: Callable[[Record, int], None] = lambda record, count: None,
    pool: Pool | None = None,
) -> Outcome:
    """Does the trials that aren't finished, the most important first, and keeps each record the moment it is there.

    A trial counts as finished when its whole line is on disk. A process killed at any point loses the trials under way
    and nothing else; the same call goes on with them.

    Args:
        path: File of the records.
        next_trials: What can be done, given what is finished.
        run: Does one trial: a function of a module, as worker processes must find it by name.
        workers: Processes with one thread each; 0 does the trials in this process. With a pool: trials at a time.
        minutes: No trial is begun after so much time; None: all are done.
        told: Called with each new record and the number of finished trials.
        pool: Where the trials are done in place of processes of this machine.

    Raises:
        InputError: another process is at this file, or the file can't be used.
        TrainingError: a worker process died, or a record can't be written; what was finished stays.
        KeyboardInterrupt: Ctrl-C; what was finished stays, and the message tells how to go on.
    """
    began = time.monotonic()
    with _alone(path):
        finished = finished_trials(path)
        before = len(finished)

        def in_time() -> bool:
            return minutes is None or time.monotonic() - began < 60 * minutes

        def next_ones() -> list[Trial]:
            return unfinished(next_trials, finished) if in_time() else []

        if workers or pool:
            records = _side_by_side(next_ones, run, workers, pool or _processes(workers))
        else:
            records = _one_by_one(next_ones, run)
        try:
            for record in records:
                _keep(path, record)
                finished[str(record.context["trial"])] = record
                told(record, len(finished))
        except KeyboardInterrupt as stop:  # a trial's own words are of itself alone
            stop.args = (f"{len(finished)} finished trials are kept in {path}. Give the same command to go on.",)
            raise
    return Outcome(finished, len(finished) - before, unfinished(next_trials, finished), time.monotonic() - began)


def _one_by_one(next_ones: Callable[[], list[Trial]], run: Run) -> Iterator[Record]:
    """Records as they come; what is left is asked again before each trial: the caller puts the last record in."""
    while left := next_ones():
        yield _with_key(run(left[0]), left[0])


def _side_by_side(next_ones: Callable[[], list[Trial]], run: Run, workers: int, pool: Pool) -> Iterator[Record]:
    """Records as they come. After a failure no trial begins, those under way are kept, and then it is raised."""
    under_way: dict[Future[Record], Trial] = {}
    failed: BaseException | None = None
    with pool() as executor:
        while True:
            busy = {trial.key for trial in under_way.values()}
            free = [] if failed else [trial for trial in next_ones() if trial.key not in busy]
            for trial in free[: workers - len(under_way)]:
                try:
                    under_way[executor.submit(run, trial)] = trial
                except BrokenProcessPool as error:  # a worker died since the last trial ended
                    failed = _dead_worker(trial, error)
                    break
            if not under_way:
                break
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                trial = under_way.pop(future)
                problem = future.exception()
                if problem is None:
                    yield _with_key(future.result(), trial)
                else:
                    failed = failed or _told_failure(trial, problem)
    if failed is not None:
        raise failed


def _told_failure(trial: Trial, problem: BaseException) -> BaseException:
    return _dead_worker(trial, problem) if isinstance(problem, BrokenProcessPool) else problem


def _dead_worker(trial: Trial, problem: BaseException) -> TrainingError:
    error = TrainingError(
        f"A worker process died, with the trial `{trial.key}` under way (it was killed, or the machine ran out of "
        "memory). The finished trials are kept: the same command goes on. Give it fewer `workers` if memory is short."
    )
    error.__cause__ = problem
    return error


def _keep(path: Path, record: Record) -> None:
    try:
        append_record(path, record)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise TrainingError(
            f"{path}: the record of the trial `{record.context['trial']}` can't be written "
            f"({'the disk is full' if full else error.strerror}). The finished trials are kept: "
            f"{'make room' if full else 'fix the cause'}, and the same command goes on."
        ) from error


def _with_key(record: Record, trial: Trial) -> Record:
    """The record with its trial's key, stage and settings in its context."""
    context = {"trial": trial.key, "stage": trial.stage, **trial.settings, **record.context}
    return replace(record, context=context)


def _processes(workers: int) -> Pool:
    def opened() -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)

    return opened


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
