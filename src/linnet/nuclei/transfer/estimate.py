"""F1 over seeds and pictures, and differences of two trainings, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from linnet.engine import derive_seed
from linnet.nuclei.transfer.counts import Counts, f1_of

DRAWS = 2000
Standing = Literal["level", "better", "worse", "not decided"]


@dataclass(frozen=True)
class Estimate:
    """A mean with the draws of its bootstrap.

    Attributes:
        mean: Over the seeds (of F1 pooled over the pictures), or a difference of two such.
        draws: The same for each resampling of seeds and pictures; empty where there is one seed and one picture.
        seeds: How many.
        pictures: How many.
    """

    mean: float
    draws: np.ndarray = field(repr=False)
    seeds: int
    pictures: int

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """Percentile interval; None where nothing can be resampled."""
        known = self.draws[np.isfinite(self.draws)]
        if not len(known):
            return None
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def standing(self, margin: float) -> Standing:
        """Of a difference: "level" where its 90 % interval lies within the margin (two one-sided tests at 5 %).

        Else "better" or "worse" where its 95 % interval excludes 0; else nothing is decided.
        """
        inner, outer = self.interval(0.9), self.interval(0.95)
        if inner is None or outer is None:
            return "not decided"
        if -margin <= inner[0] and inner[1] <= margin:
            return "level"
        return "better" if outer[0] > 0 else "worse" if outer[1] < 0 else "not decided"


def f1_estimate(by_seed: Mapping[int, Counts], *, target: str) -> Estimate:
    """F1 on a target: the mean over the seeds of F1 pooled over the pictures.

    Each draw takes as many seeds and as many pictures with replacement, each picture in all seeds alike. The draws
    of one target, number of seeds and number of pictures are the same, so that differences are paired.

    Args:
        by_seed: Counts of each seed over the same pictures.
        target: The group that was tested on; seeds the draws.
    """
    seeds = sorted(by_seed)
    table = np.stack([by_seed[seed].table for seed in seeds]).astype(np.float64)  # (seeds, pictures, 3)
    count, pictures = table.shape[:2]
    mean = float(np.mean([by_seed[seed].f1 for seed in seeds]))
    if count == 1 and pictures == 1:
        return Estimate(mean, np.zeros(0), count, pictures)
    rng = np.random.default_rng(derive_seed(0, target, count, pictures))
    of_seeds = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)
    of_pictures = rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=DRAWS)
    f1 = np.asarray(f1_of(np.einsum("dp,spk->dsk", of_pictures, table)))  # (draws, seeds)
    known = np.where(np.isfinite(f1), f1, 0.0)
    draws = (of_seeds * known).sum(axis=1) / count
    return Estimate(mean, draws, count, pictures)


def difference(ours: Mapping[int, Counts], theirs: Mapping[int, Counts], *, target: str) -> Estimate | None:
    """F1 of one training less that of another on a target, over the seeds that both have; None without any."""
    common = ours.keys() & theirs.keys()
    if not common:
        return None
    one, other = (f1_estimate({seed: counts[seed] for seed in common}, target=target) for counts in (ours, theirs))
    return Estimate(one.mean - other.mean, one.draws - other.draws, one.seeds, one.pictures)


def mean_of(estimates: Sequence[Estimate]) -> Estimate | None:
    """The mean over targets; each target's draws are its own. None without any."""
    drawn = [each.draws for each in estimates if len(each.draws)]
    if not estimates:
        return None
    draws = np.mean(drawn, axis=0) if len(drawn) == len(estimates) else np.zeros(0)
    return Estimate(
        float(np.mean([each.mean for each in estimates])),
        draws,
        min(each.seeds for each in estimates),
        sum(each.pictures for each in estimates),
    )
