"""Reliability: whether a classifier's answers are right as often as its confidence says."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import numpy as np
import numpy.typing as npt

from linnet.arrays import Floats
from linnet.errors import InputError
from linnet.suggest import one_of

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


def reliability(
    confidence: Floats,
    right: npt.NDArray[np.bool_],
    *,
    bins: int = BINS,
    edges: Literal["mass", "width"] = "mass",
) -> tuple[Bin, ...]:
    """Answers in bins, by rising confidence.

    Bins of equal mass have N / bins answers each (some one more), so a bin's share rests on as many answers as any
    other's; equal confidences are divided in the order given. Of bins of equal width, bin i of B holds the confidences
    in (i / B, (i + 1) / B]; exactly 0 belongs to the first, and bins without an answer are left out.

    Args:
        confidence: (N,) probability of the predicted class.
        right: (N,) whether the predicted class was the true one.
        bins: How many; of equal mass at most N.
        edges: Bins of equal "mass" or of equal "width".

    Raises:
        InputError: the lengths differ, there is no answer, a confidence lies outside of 0..1, `bins` is below 1, or
            `edges` is unknown.
    """
    confidence, right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if confidence.shape != right.shape or confidence.ndim != 1 or not len(confidence):
        raise InputError(
            "`confidence` and `right` must have one value for each answer, and at least one (got the shapes "
            f"{confidence.shape} and {right.shape})."
        )
    if not bool(((confidence >= 0) & (confidence <= 1 + 1e-9)).all()):
        raise InputError("`confidence` must hold probabilities from 0 to 1 (got values outside of them, or NaN).")
    if not isinstance(bins, Integral) or bins < 1:
        raise InputError(f"`bins` must be a whole number >= 1 (got {bins!r}).")
    if one_of("edges", edges, ("mass", "width")) == "width":
        index = equal_width(confidence, bins)
        order = np.argsort(index, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
    else:
        order = np.argsort(confidence, kind="stable")
        parts = np.array_split(order, min(bins, len(order)))
    return tuple(Bin(float(confidence[part].mean()), int(right[part].sum()), len(part)) for part in parts)


def equal_width(confidence: Floats, bins: int = BINS) -> npt.NDArray[np.int64]:
    """Index of the bin of each confidence: clip(ceil(confidence B) - 1, 0, B - 1)."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Expected calibration error: sum_b n_b / N |accuracy_b - confidence_b|.

    Args:
        bins: From `reliability`.

    Source:
        Naeini, Cooper & Hauskrecht 2015, whose bins have equal width; those of equal mass as in Nixon et al. 2019.
    """
    total = sum(one.n for one in bins)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / total
