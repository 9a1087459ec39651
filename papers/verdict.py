"""What n paired seeds say about a claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from linnet.errors import InputError
from linnet.results import t_interval
from papers.table import Table

Verdict = Literal["holds", "does not hold", "not decided", "not run"]


@dataclass(frozen=True)
class Paired:
    """Differences of two methods over the same seeds.

    Attributes:
        mean: Of ours - theirs.
        interval: Student's t interval of the mean, at `level`; None for one seed.
        n: Seeds.
        level: Coverage.
    """

    mean: float
    interval: tuple[float, float] | None
    n: int
    level: float = 0.95

    def verdict(self, *, at_least: float = 0.0) -> Verdict:
        """Whether the mean difference is at least so much: decided when the interval lies on one side of it.

        Args:
            at_least: 0 for "better than"; a negative margin for "as good as".
        """
        if self.interval is None:
            return "not decided"
        low, high = self.interval
        if low >= at_least:
            return "holds"
        return "does not hold" if high < at_least else "not decided"


def paired(ours: Sequence[float], theirs: Sequence[float], *, level: float = 0.95) -> Paired | None:
    """The differences ours - theirs of numbers in the order of the seeds; None when there are none.

    Raises:
        InputError: the two have different lengths.
    """
    if len(ours) != len(theirs):
        raise InputError(f"{len(ours)} and {len(theirs)} numbers were given; pairs are needed, one for each seed.")
    if not ours:
        return None
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    interval = t_interval(differences, level=level) if len(differences) > 1 else None
    return Paired(fmean(differences), interval, len(differences), level)


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1); NaN where there are too few values."""
    return fmean(values) if values else math.nan, stdev(values) if len(values) > 1 else math.nan


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim that needs all of its parts: one that fails decides, then one that is open."""
    for bad in ("does not hold", "not run", "not decided"):
        if bad in verdicts:
            return bad
    return "holds" if verdicts else "not run"


@dataclass(frozen=True)
class Claim:
    """One row of the table of claims.

    Attributes:
        claim: The paper's in our words, or ours.
        theirs: What the abstract gives for it.
        ours: What was measured here.
        n: Seeds or runs.
        verdict: What follows.
    """

    claim: str
    theirs: str
    ours: str
    n: int
    verdict: str


def table_of_claims(caption: str, claims: Sequence[Claim]) -> Table:
    """Claim, theirs, ours, n, verdict."""
    rows = [[claim.claim, claim.theirs, claim.ours, str(claim.n), claim.verdict] for claim in claims]
    return Table(caption, ["claim", "theirs", "ours", "n", "verdict"], rows)


def shown(found: Paired | None, *, digits: int = 4, factor: float = 1.0) -> str:
    """A paired difference, times a factor, with its interval: "+0.0012 [-0.0030, +0.0054]"."""
    if found is None:
        return "not run"
    mean = f"{factor * found.mean:+.{digits}f}"
    if found.interval is None:
        return f"{mean} (one seed)"
    low, high = (f"{factor * bound:+.{digits}f}" for bound in found.interval)
    return f"{mean} [{low}, {high}]"


def in_words(verdict: Verdict, n: int, *, needed: int) -> str:
    """A verdict in words; fewer seeds than are needed decide nothing."""
    if verdict == "not run" or (verdict != "not decided" and n >= needed):
        return verdict
    return f"not decided by {'one seed' if n == 1 else f'{n} seeds'}"
