"""Selective prediction: the error that is left when the least sure answers are rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from linnet.arrays import Bools, Floats
from linnet.ensemble.metrics.answers import confidences


@dataclass(frozen=True)
class RejectionCurve:
    """Error against the share of answers that are kept, surest first.

    Attributes:
        kept: (N,) 1/N, 2/N, ..., 1.
        error: (N,) share of wrong answers among those kept.
    """

    kept: Floats
    error: Floats

    @property
    def area(self) -> float:
        """Mean error over all shares kept: AURC."""
        return float(self.error.mean())


def rejection_curve(probs_or_confidence: Any, labels_or_correct: Any) -> RejectionCurve:
    """The error among the k surest answers, for k = 1 .. N.

    Answers of equal confidence have no order, so that their errors count as spread evenly over them: the mean over all
    orders. Without ties this is the plain sorted curve.

    Args:
        probs_or_confidence: (N, C) probabilities, or (N,) confidences.
        labels_or_correct: (N,) labels, or (N,) whether each answer was right.

    Raises:
        InputError: shapes, types or ranges don't fit.
    """
    confidence, right = confidences(probs_or_confidence, labels_or_correct)
    return curve_of(confidence, ~right)


def aurc(probs_or_confidence: Any, labels_or_correct: Any) -> float:
    """Area under the rejection curve: mean over k = 1 .. N of the error among the k surest answers.

    Args:
        probs_or_confidence: (N, C) probabilities, or (N,) confidences.
        labels_or_correct: (N,) labels, or (N,) whether each answer was right.

    Raises:
        InputError: shapes, types or ranges don't fit.

    Source:
        Geifman & El-Yaniv 2017; the mean over the orders of tied answers: linnet's choice, so that the order of the
        samples doesn't matter.

    Example:
        >>> aurc([0.9, 0.8], [True, False]), aurc([0.8, 0.8], [True, False])
        (0.25, 0.5)
    """
    return rejection_curve(probs_or_confidence, labels_or_correct).area


def e_aurc(probs_or_confidence: Any, labels_or_correct: Any) -> float:
    """Excess AURC: `aurc` minus the least that any order of the same answers has, which puts all errors last.

    Args:
        probs_or_confidence: As in `aurc`.
        labels_or_correct: As in `aurc`.

    Raises:
        InputError: as `aurc`.

    Source:
        Geifman, Uziel & El-Yaniv 2019.
    """
    confidence, right = confidences(probs_or_confidence, labels_or_correct)
    return curve_of(confidence, ~right).area - best_area(right)


def best_area(right: Bools) -> float:
    """AURC of the best order of these answers."""
    wrong = np.sort(~right)
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


def curve_of(confidence: Floats, loss: Bools | Floats) -> RejectionCurve:
    """The rejection curve of any loss: the mean loss among the k surest, ties shared evenly."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1) + 1
    total = np.cumsum(loss[order], dtype=np.float64)[ends - 1]
    rank = np.arange(1, len(order) + 1)
    errors = np.interp(rank, np.append(0, ends), np.append(0.0, total))
    return RejectionCurve(rank / len(order), errors / rank)
