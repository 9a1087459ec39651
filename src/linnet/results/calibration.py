"""Reliability: whether a classifier's answers are right as often as its confidence says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linnet.errors import InputError

Floats = npt.NDArray[np.float64]
BINS = 15


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        confidence: Mean probability that was given to the answer.
        right: How many were right.
        n: How many there are.
    """

    confidence: float
    right: int
    n: int

    @property
    def accuracy(self) -> float:
        """Share that was right."""
        return self.right / self.n


def reliability(confidence: Floats, right: npt.NDArray[np.bool_], *, bins: int = BINS) -> tuple[Bin, ...]:
    """Answers in bins of equal mass, by rising confidence.

    Each bin has N / bins answers (some one more), so a bin's share rests on as many answers as any other's; equal
    confidences are divided in the order given.

    Args:
        confidence: (N,) probability of the predicted class.
        right: (N,) whether the predicted class was the true one.
        bins: How many; at most N.

    Raises:
        InputError: the lengths differ, there is no answer, a confidence lies outside of 0..1, or `bins` is below 1.
    """
    confidence, right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if confidence.shape != right.shape or confidence.ndim != 1 or not len(confidence):
        raise InputError(
            "`confidence` and `right` must have one value for each answer, and at least one (got the shapes "
            f"{confidence.shape} and {right.shape})."
        )
    if not bool(((confidence >= 0) & (confidence <= 1 + 1e-9)).all()):
        raise InputError("`confidence` must hold probabilities from 0 to 1 (got values outside of them, or NaN).")
    if bins < 1:
        raise InputError(f"`bins` must be a whole number >= 1 (got {bins}).")
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return tuple(Bin(float(confidence[part].mean()), int(right[part].sum()), len(part)) for part in parts)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Expected calibration error: sum_b n_b / N |accuracy_b - confidence_b|.

    Args:
        bins: From `reliability`.

    Source:
        Naeini, Cooper & Hauskrecht 2015, with bins of equal mass as in Nixon et al. 2019.
    """
    total = sum(one.n for one in bins)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / total
