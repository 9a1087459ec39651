"""Deep-Ensemble-Equivalent score: how many independent networks an ensemble is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from linnet.arrays import Floats
from linnet.errors import InputError


@dataclass(frozen=True)
class Equivalent:
    """A number of independent full networks.

    Attributes:
        members: Interpolated number, 1 .. most; 1 also stands for less, `most` also for more.
        beyond: "<" below one network, ">" above `most`, else "".
        band: (low, high): the same number against the Deep Ensembles' scores +- 1 standard deviation over seeds.
        most: Size of the largest Deep Ensemble that was measured.
    """

    members: float
    beyond: str
    band: tuple[float, float]
    most: int

    def __str__(self) -> str:
        """Like "2.4", "<1" or ">5"."""
        return f"{self.beyond}{self.members:.0f}" if self.beyond else f"{self.members:.1f}"


def deep_ensemble_equivalent(score: float, deep_scores: Any) -> Equivalent:
    """The number of independent full networks whose ensemble reaches a score; linear between whole numbers.

    Args:
        score: Of the ensemble; lower is better: its calibrated NLL.
        deep_scores: (m_max,) scores of Deep Ensembles with 1, 2, ... members, or (seeds, m_max), of which the mean
            counts. Where more members score worse, the better score of fewer holds.

    Raises:
        InputError: a score isn't finite, or there is none.

    Source:
        Ashukha et al. 2020; the reading of scores that don't fall: linnet's choice.

    Example:
        >>> str(deep_ensemble_equivalent(0.45, [0.6, 0.5, 0.4])), str(deep_ensemble_equivalent(0.7, [0.6, 0.5]))
        ('2.5', '<1')
    """
    table = np.atleast_2d(np.asarray(deep_scores, dtype=np.float64))
    if table.ndim != 2 or not table.size or not np.isfinite(table).all() or not np.isfinite(score):
        raise InputError(
            f"`deep_scores` must hold finite scores of 1, 2, ... members, and `score` be finite (got shape "
            f"{np.shape(deep_scores)} and {score})."
        )
    mean = table.mean(axis=0)
    spread = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros_like(mean)
    members, beyond = _read_off(score, mean)
    # Better Deep Ensembles (mean - sd) make the same score worth fewer members.
    low, high = _read_off(score, mean - spread)[0], _read_off(score, mean + spread)[0]
    return Equivalent(members, beyond, (min(low, members), max(high, members)), len(mean))


def _read_off(score: float, curve: Floats) -> tuple[float, str]:
    falling: Sequence[float] = np.minimum.accumulate(curve).tolist()
    if score > falling[0]:
        return 1.0, "<"
    for m, (upper, lower) in enumerate(pairwise(falling), start=1):
        if score == upper:
            return float(m), ""
        if score >= lower:
            return m + (upper - score) / (upper - lower), ""
    return float(len(falling)), "" if score == falling[-1] else ">"
