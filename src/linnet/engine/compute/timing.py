"""Timing: how long calls take; several calls take turns, each with its given number of threads."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

REPEATS, WARMUPS = 30, 5
_LEAST = 5  # runs of each, however long they take
NOISY = 1.2  # p95 / p50 above which 5 % can't be told


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, repeated.

    Attributes:
        best_s: The fastest: what the work takes when nothing disturbs it.
        p50_s: Median.
        p95_s: 95 % quantile.
        runs: How many.
        p50_interval_s: 95 % interval of the median, without any assumption: between the order statistics
            n / 2 -+ 0.98 sqrt(n).
    """

    best_s: float
    p50_s: float
    p95_s: float
    runs: int
    p50_interval_s: tuple[float, float]

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """From the seconds of each run."""
        half = min(0.98 / math.sqrt(len(seconds)), 0.5)
        p50, p95, low, high = (float(at) for at in np.quantile(seconds, [0.5, 0.95, 0.5 - half, 0.5 + half]))
        return cls(float(min(seconds)), p50, p95, len(seconds), (low, high))

    def joined(self, other: Timing) -> Timing:
        """Of both together; the quantiles are those of the calmer one."""
        calmer = min(self, other, key=lambda timing: timing.noise)
        return replace(calmer, best_s=min(self.best_s, other.best_s), runs=self.runs + other.runs)

    @property
    def noise(self) -> float:
        """p95 / p50."""
        return self.p95_s / self.p50_s


@dataclass(frozen=True)
class Latency:
    """A measured latency beside its target. Nothing in it is predicted.

    Attributes:
        target_ms: The most that is allowed.
        before_ms: Of the given network, the best run.
        after_ms: Of the small network, the best run; measured in turns with the given one.
        p50_ms: Of the small network, the median run.
        p95_ms: Of the small network, the 95 % quantile.
        runs: Of each.
        networks: How many small networks were measured on the way.
        runtime: Name and version.
        cpu: Model.
        batch: Samples of one call.
        threads: Of one call.
    """

    target_ms: float
    before_ms: float
    after_ms: float
    p50_ms: float
    p95_ms: float
    runs: int
    networks: int
    runtime: str
    cpu: str
    batch: int
    threads: int

    @property
    def noisy(self) -> bool:
        """Whether other work disturbed the runs so much that 5 % can't be told."""
        return self.p95_ms / self.p50_ms > NOISY

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        noisy = f"; noisy: p95 / p50 is {self.p95_ms / self.p50_ms:.2f}" if self.noisy else ""
        return (
            f"latency_ms: {self.before_ms:.3g} -> {self.after_ms:.3g} measured, {self.target_ms:g} asked "
            f"({self.runtime}, batch {self.batch}, {threads}, best of {self.runs}{noisy})"
        )


def timed(
    *calls: Callable[[], object],
    threads: int = 1,
    repeats: int = REPEATS,
    warmups: int = WARMUPS,
    enough_s: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Timing, ...]:
    """Times calls in turns, A B A B, after warming all up.

    Args:
        *calls: The calls to time.
        threads: Threads that each may use; one is pinned to its core.
        repeats: Runs of each.
        warmups: Runs of each before.
        enough_s: Seconds after which no further run begins; five of each are always made.
        clock: Gives seconds.

    Returns:
        A timing for each call.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    with on_threads(threads):
        for call in calls:
            for _ in range(warmups):
                call()
        first = clock()
        for run in range(repeats):
            if run >= _LEAST and clock() - first > enough_s:
                break
            for call, own in zip(calls, seconds, strict=True):
                begin = clock()
                call()
                own.append(clock() - begin)
    return tuple(Timing.of(own) for own in seconds)


def quickest(call: Callable[[], object], *, at_least: int = 5, at_most: int = 30, enough_s: float = 0.008) -> float:
    """Seconds of the fastest of some runs: as many as fit into `enough_s`, after one to warm up."""
    call()
    best, spent, runs = float("inf"), 0.0, 0
    while runs < at_least or (runs < at_most and spent < enough_s):
        begin = time.perf_counter()
        call()
        took = time.perf_counter() - begin
        best, spent, runs = min(best, took), spent + took, runs + 1
    return best


@contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Torch uses this many threads inside, and one thread stays on its core (where the system lets it)."""
    before = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if threads == 1 and hasattr(os, "sched_setaffinity") else set()
    try:
        torch.set_num_threads(threads)
        if cores:
            os.sched_setaffinity(0, {_core(cores)})
        yield
    finally:
        torch.set_num_threads(before)
        if cores:
            os.sched_setaffinity(0, cores)


def _core(cores: set[int]) -> int:
    """The core that this thread runs on now, so that two processes don't choose the same."""
    try:
        core = int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
    except (OSError, ValueError, IndexError):
        core = -1
    return core if core in cores else min(cores)
