"""The ratio harness: two ways to do the same work, timed in turns in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np


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
        return self._bootstrap(self._ratios())

    @property
    def extra_s(self) -> float:
        """How much longer `a` takes than `b`: the median over pairs of a_s - b_s."""
        return float(np.median(self._extras()))

    @property
    def extra_interval_s(self) -> tuple[float, float]:
        """Bootstrap interval of `extra_s` over pairs."""
        return self._bootstrap(self._extras())

    @property
    def median_s(self) -> tuple[float, float]:
        """Median seconds of each side. The ratio of medians isn't the claim; `speed_ratio` is."""
        return float(np.median(self.a_s)), float(np.median(self.b_s))

    def _ratios(self) -> np.ndarray:
        return np.asarray(self.b_s) / np.asarray(self.a_s)

    def _extras(self) -> np.ndarray:
        return np.asarray(self.a_s) - np.asarray(self.b_s)

    def _bootstrap(self, values: np.ndarray) -> tuple[float, float]:
        draws = np.random.default_rng(self.rng_seed).choice(values, size=(2000, len(values)))
        lo, hi = np.quantile(np.median(draws, axis=1), [(1 - self.level) / 2, (1 + self.level) / 2])
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
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(pairs):
        for side, seconds in zip((a, b), times, strict=True):
            begin = clock()
            side.run()
            seconds.append(clock() - begin)
    return Comparison(a.name, b.name, tuple(times[0]), tuple(times[1]), rng_seed)


def _warm(side: Side, warmups: int) -> Hashable:
    outcome: object = None
    for _ in range(warmups):
        outcome = side.run()
    return side.work(outcome)
