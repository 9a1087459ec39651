"""The backends that a verification can ask for. A further one is an entry in `BACKENDS`.

A backend is checked against the reference by `check(job)`, which returns what ran or raises MismatchError; `missing()`
tells why it can't run on this machine, or "".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from linnet.errors import FreezeError
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.verification.c_builds import check_c, missing_c
from linnet.jet.verification.cortex import check_cortex, missing_cortex
from linnet.jet.verification.records import Ran
from linnet.jet.verification.rtl import check_rtl, missing_icarus, missing_rtl


@dataclass
class Job:
    """What a backend is checked on.

    Attributes:
        graph: The program.
        pixels: int64 (N, *input shape).
        expected: int64 (N, *output shape), by the references.
        directory: Folder with files that are to be checked as they are; None: they are written anew.
        thorough: Whether all builds are run, or one.
        optional: Whether a program that the backend can't hold is skipped, not an error.
        skipped: Builds and paths that this machine lacks, with the reason; the backend adds to it.
    """

    graph: IntegerGraph
    pixels: np.ndarray
    expected: np.ndarray
    directory: Path | None
    thorough: bool
    optional: bool = False
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Backend:
    """One backend.

    Attributes:
        check: Runs it on a job.
        missing: Why it can't run here, with how to install it; "" if it can.
    """

    check: Callable[[Job], list[Ran]]
    missing: Callable[[], str]


def _c(job: Job) -> list[Ran]:
    return check_c(job.graph, job.pixels, job.expected, job.directory, job.skipped, thorough=job.thorough)


def _cortex(job: Job) -> list[Ran]:
    return check_cortex(job.graph, job.pixels, job.expected)


def _rtl(job: Job) -> list[Ran]:
    return _verilog(job, "rtl")


def _icarus(job: Job) -> list[Ran]:
    return _verilog(job, "icarus")


def _verilog(job: Job, name: str) -> list[Ran]:
    try:
        return check_rtl(name, job.graph, job.pixels, job.expected, job.directory)
    except FreezeError as error:
        if not job.optional:
            raise
        job.skipped[name] = str(error)
        return []


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        "c": Backend(_c, missing_c),
        "cortex-m4": Backend(_cortex, missing_cortex),
        "rtl": Backend(_rtl, missing_rtl),
        "icarus": Backend(_icarus, missing_icarus),
    }
)
