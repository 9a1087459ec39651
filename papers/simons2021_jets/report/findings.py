"""What the records say: scores by set, type and width, their differences, spreads and kernels."""

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

    def seeds(self, data: str, width: int, kind: str) -> list[Record]:
        """The compared networks of a set, width and type, by seed; those that diverged are left out."""
        found = [r for r in self._stage("seeds", data, width, kind) if r.value is not None]
        return sorted(found, key=lambda r: r.rng_seed or 0)

    def scores(self, data: str, width: int, kind: str) -> list[float]:
        """Test score of each seed."""
        return [float(r.value) for r in self.seeds(data, width, kind) if r.value is not None]

    def area(self, data: str, width: int, kind: str) -> Record | None:
        """LUTs of the first seed's network; None where it wasn't mapped."""
        return next((r for r in self._stage("area", data, width, kind) if r.value is not None), None)

    def maps(self, data: str, width: int, kind: str) -> Record | None:
        """The feature maps of the first seed's network; None where they weren't kept."""
        return next((r for r in self._stage("maps", data, width, kind) if "maps" in r.context), None)

    def rate(self, data: str, width: int, kind: str) -> float | None:
        """The learning rate that was chosen."""
        return best_rate(self.finished, self.scale, data, width, kind)

    def pairs(self, data: str, width: int, ours: str, theirs: str) -> tuple[list[float], list[float]]:
        """Scores of two types over the seeds that both have."""
        a, b = ({r.rng_seed: float(r.value or 0.0) for r in self.seeds(data, width, kind)} for kind in (ours, theirs))
        common = sorted(set(a) & set(b), key=lambda seed: seed or 0)
        return [a[s] for s in common], [b[s] for s in common]

    def _stage(self, stage: str, data: str, width: int, kind: str) -> list[Record]:
        wanted = (stage, data, width, kind)
        return [
            r
            for r in self.finished.values()
            if tuple(r.context[k] for k in ("stage", "data", "width", "kind")) == wanted
        ]


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


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over seeds; nan for fewer than two."""
    if len(values) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).choice(np.asarray(values), (4000, len(values)))
    low, high = np.quantile(drawn.mean(1), [0.025, 0.975])
    return float(low), float(high)


def at_equal_lut(curve: Sequence[tuple[float, float]], lut: float) -> float | None:
    """The score that a type of layer reaches at so many LUTs, between two widths on a logarithmic scale.

    Args:
        curve: (LUTs, score) of each width.
        lut: Where; None is given outside of the curve, as nothing is extrapolated.
    """
    points = sorted(curve)
    if len(points) < 2 or not points[0][0] <= lut <= points[-1][0]:
        return None
    x, y = zip(*points, strict=True)
    return float(np.interp(np.log(lut), np.log(x), y))
