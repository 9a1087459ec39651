"""Timing: how long one call of each of several networks takes, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

_WARM = 5


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call.

    Attributes:
        ms: Each round's, in order.
    """

    ms: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """The time that this share of the rounds stayed under."""
        return float(np.quantile(self.ms, share))


def in_turns(calls: Sequence[Callable[[], object]], *, rounds: int = 30, most_s: float = 3.0) -> list[Timing]:
    """Times calls one after the other, round by round, so that a busy moment of the machine meets all of them.

    torch computes on one thread meanwhile.

    Args:
        calls: What to time; each is called 5 times before.
        rounds: How many times each is timed.
        most_s: Seconds after which no further round begins; five are always made.
    """
    found: list[list[float]] = [[] for _ in calls]
    with one_thread():
        for call in calls:
            for _ in range(_WARM):
                call()
        begin = time.perf_counter()
        for number in range(rounds):
            if number >= _WARM and time.perf_counter() - begin > most_s:
                break
            for own, call in zip(found, calls, strict=True):
                start = time.perf_counter()
                call()
                own.append((time.perf_counter() - start) * 1e3)
    return [Timing(tuple(own)) for own in found]


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread; as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
