"""The ratio harness: two ways to do the same work, timed in turns in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)


class UnequalWork(AssertionError):
    """The two sides didn't do the same work, so their times can't be compared."""


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    Attributes:
        name: How the table calls it.
        run: Does the work once.
        work: What of `run`'s outcome must be equal on both sides, for example the number of pixels that were searched.
    """

    name: str
    run: Callable[[], object]
    work: Callable[[object], Hashable]


@dataclass(frozen=True)
class Comparison:
    """Times of both sides, pair by pair.

    Attributes:
        a: Name of the first side.
        b: Name of the second side.
        a_s: (pairs,) seconds of the first side.
        b_s: (pairs,) seconds of the second side.
        rng_seed: Seed of the bootstrap.
        level: Coverage of the interval.
    """

    a: str
    b: str
    a_s: tuple[float, ...]
    b_s: tuple[float, ...]
    rng_seed: int = 0
    level: float = 0.95

    @property
    def speed_ratio(self) -> float:
        """How many times as fast `a` is as `b`: the median over pairs of b_s / a_s."""
        return float(np.median(self._ratios()))

    @property
    def interval(self) -> tuple[float, float]:
        """Bootstrap interval of `speed_ratio` over pairs."""
        return bootstrap(self._ratios(), level=self.level, rng_seed=self.rng_seed)

    @property
    def time_ratio(self) -> float:
        """How many times as long `a` takes as `b`: 1 / `speed_ratio`."""
        return 1 / self.speed_ratio

    @property
    def time_interval(self) -> tuple[float, float]:
        """Bootstrap interval of `time_ratio` over pairs."""
        lo, hi = self.interval
        return 1 / hi, 1 / lo

    @property
    def extra_s(self) -> float:
        """How much longer `a` takes than `b`: the median over pairs of a_s - b_s."""
        return float(np.median(self._extras()))

    @property
    def extra_interval_s(self) -> tuple[float, float]:
        """Bootstrap interval of `extra_s` over pairs."""
        return bootstrap(self._extras(), level=self.level, rng_seed=self.rng_seed)

    @property
    def median_s(self) -> tuple[float, float]:
        """Median seconds of each side. The ratio of medians isn't the claim; `speed_ratio` is."""
        return float(np.median(self.a_s)), float(np.median(self.b_s))

    def _ratios(self) -> np.ndarray:
        return np.asarray(self.b_s) / np.asarray(self.a_s)

    def _extras(self) -> np.ndarray:
        return np.asarray(self.a_s) - np.asarray(self.b_s)


def bootstrap(values: Sequence[float] | np.ndarray, *, level: float = 0.95, rng_seed: int = 0) -> tuple[float, float]:
    """Interval of the median of values: quantiles of the medians of 2,000 draws."""
    draws = np.random.default_rng(rng_seed).choice(values, size=(2000, len(values)))
    lo, hi = np.quantile(np.median(draws, axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(lo), float(hi)


def compare(
    a: Side,
    b: Side,
    *,
    pairs: int = 11,
    warmups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    rng_seed: int = 0,
) -> Comparison:
    """Times two sides in turns, A B A B, after both were warmed up and proved to do equal work.

    A slow spell of the machine falls on both members of a pair, so it cancels in the pair's ratio.

    Args:
        a: The first side: ours.
        b: The second side: the peer.
        pairs: How many times each side is timed.
        warmups: How many times each side runs before; the last outcome is what equal work is asserted on.
        clock: Gives seconds.
        rng_seed: Seed of the bootstrap.

    Raises:
        UnequalWork: the sides' `work` differs; nothing was timed.
        ValueError: there are fewer than 3 pairs, or no warm-up.
    """
    if pairs < 3 or warmups < 1:
        raise ValueError(f"{pairs} pairs after {warmups} warm-ups were asked for; at least 3 after 1 are needed.")
    works = [_warm(side, warmups) for side in (a, b)]
    if works[0] != works[1]:
        raise UnequalWork(f"{a.name} did {works[0]!r}, {b.name} did {works[1]!r}. Give both the same work.")
    times = in_turns({0: a.run, 1: b.run}, pairs, warmups=0, clock=clock)
    return Comparison(a.name, b.name, tuple(times[0]), tuple(times[1]), rng_seed)


def in_turns(
    runs: Mapping[Name, Callable[[], object]],
    rounds: int,
    *,
    warmups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Seconds of each way in each round, all in turns, after each was run `warmups` times."""
    for run in runs.values():
        for _ in range(warmups):
            run()
    times: dict[Name, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = clock()
            run()
            times[name].append(clock() - begin)
    return times


def unchecked(outcome: object) -> int:
    """The work of sides that are built to do the same, and whose outcomes say nothing about it."""
    return 0


def _warm(side: Side, warmups: int) -> Hashable:
    outcome: object = None
    for _ in range(warmups):
        outcome = side.run()
    return side.work(outcome)
