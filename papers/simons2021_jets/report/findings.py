"""What the records say: accuracies by type and width, their differences, spreads and kernels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from linnet.results import Record, t_interval
from papers.simons2021_jets.plan import best_rate
from papers.simons2021_jets.scales import Scale
from papers.study import Finished

MARGIN = 0.01  # one point: differences within it count as none
SEEDS_NEEDED = 5  # fewer decide nothing about learning


@dataclass(frozen=True)
class Study:
    """A study at one scale.

    Attributes:
        scale: Of the study.
        finished: Its records.
    """

    scale: Scale
    finished: Finished

    def seeds(self, kind: str, width: int) -> list[Record]:
        """The compared networks of a type and width, by seed; those that diverged are left out."""
        found = [
            r
            for r in self.finished.values()
            if r.context["stage"] == "seeds" and (r.context["kind"], r.context["width"]) == (kind, width)
        ]
        return sorted((r for r in found if r.value is not None), key=lambda r: r.rng_seed or 0)

    def accuracies(self, kind: str, width: int) -> list[float]:
        """Test accuracy of each seed."""
        return [float(r.value) for r in self.seeds(kind, width) if r.value is not None]

    def rate(self, kind: str, width: int) -> float | None:
        """The learning rate that was chosen."""
        return best_rate(self.finished, self.scale, kind, width)

    def pairs(self, ours: str, theirs: str, width: int) -> tuple[list[float], list[float]]:
        """Accuracies of two types over the seeds that both have."""
        a, b = ({r.rng_seed: float(r.value or 0.0) for r in self.seeds(kind, width)} for kind in (ours, theirs))
        common = sorted(set(a) & set(b), key=lambda seed: seed or 0)
        return [a[s] for s in common], [b[s] for s in common]


@dataclass(frozen=True)
class Difference:
    """Of two types over the same seeds.

    Attributes:
        mean: Of ours - theirs.
        interval: Student's t, 95 %.
        equivalence: Student's t, 90 %: within the margin means equivalent by two one-sided tests at 5 %.
        n: Seeds.
    """

    mean: float
    interval: tuple[float, float]
    equivalence: tuple[float, float]
    n: int

    def parity(self) -> str:
        """Whether ours performs as theirs, within a point."""
        low, high = self.equivalence
        if self.n < SEEDS_NEEDED:
            return "inconclusive"
        if low > -MARGIN and high < MARGIN:
            return "supported"
        return "not supported" if self.interval[1] < -MARGIN else "inconclusive"


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference | None:
    """The paired differences; None for fewer than two seeds."""
    if len(ours) != len(theirs) or len(ours) < 2:
        return None
    values = [a - b for a, b in zip(ours, theirs, strict=True)]
    return Difference(
        float(np.mean(values)), t_interval(values, level=0.95), t_interval(values, level=0.90), len(values)
    )


def spread_p(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """p of Brown and Forsythe's test that two types have one spread over seeds; None for fewer than three seeds."""
    if min(len(ours), len(theirs)) < 3:
        return None
    return float(stats.levene(ours, theirs, center="median").pvalue)


def kinds(records: Sequence[Record]) -> np.ndarray:
    """Axes with 0, 1 and 2 differences, over all layers and seeds."""
    counts = np.zeros(3, int)
    for record in records:
        for layer in json.loads(str(record.context["kinds"])):
            counts += np.array(layer)
    return counts


def kinds_p(counts: np.ndarray) -> float | None:
    """p of the chi-squared test against the chances 1/4, 1/2, 1/4 of fair bits; None without counts."""
    if counts.sum() == 0:
        return None
    return float(stats.chisquare(counts, counts.sum() * np.array([0.25, 0.5, 0.25])).pvalue)
