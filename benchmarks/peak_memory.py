"""The most memory that this process used, or that torch held during a call."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_PROCESS = Path("/proc/self")
RESETTABLE = (_PROCESS / "clear_refs").exists()
"""Whether this system lets a process begin its peak anew."""


def peak_bytes() -> int:
    """Most resident memory that this process ever had.

    From /proc where it is: what `getrusage` says there also counts the parent's memory at the time of the fork.
    """
    if (_PROCESS / "status").exists():
        return status_bytes("VmHWM")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def status_bytes(key: str) -> int:
    """A size of this process as Linux tells it, such as "VmRSS"."""
    lines = (_PROCESS / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) * 1024


def begin_anew() -> None:
    """Gives free memory back to the system and begins the peak anew; only where `RESETTABLE`."""
    ctypes.CDLL(None).malloc_trim(0)
    time.sleep(0.1)
    (_PROCESS / "clear_refs").write_text("5")


def allocated(run: Callable[[], T]) -> tuple[int, T]:
    """Most bytes that torch holds during a call beyond what it held before, by its own allocations; and the outcome."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        outcome = run()
    now = most = 0
    for event in profiled.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            now += event.nbytes()  # type: ignore[attr-defined]
            most = max(most, now)
    return most, outcome
