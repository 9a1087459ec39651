"""How far confidence and accuracy lie apart: ECE, its debiased form, and class by class."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from linnet.arrays import Bools, Floats, Ints
from linnet.ensemble.metrics.answers import class_labels, confidences, probabilities
from linnet.errors import InputError
from linnet.results import calibration_error, reliability
from linnet.results.calibration import BINS, equal_width


def ece(probs_or_confidence: Any, labels_or_correct: Any, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width: sum_b n_b / N |confidence_b - accuracy_b|.

    Bin i of B holds the confidences in (i / B, (i + 1) / B]; exactly 0 belongs to the first and exactly 1 to the last.

    Args:
        probs_or_confidence: (N, C) probabilities, or (N,) confidences of the answers.
        labels_or_correct: (N,) labels, or (N,) whether each answer was right.
        bins: B.

    Returns:
        In 0..1.

    Raises:
        InputError: shapes, types or ranges don't fit, or no bin.

    Source:
        Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017.

    Example:
        >>> ece([0.0, 1.0], [False, True]), ece([1.0, 1.0], [True, False])
        (0.0, 0.5)
    """
    confidence, right = confidences(probs_or_confidence, labels_or_correct)
    return calibration_error(reliability(confidence, right, bins=bins, edges="width"))


def ece_debiased(probs_or_confidence: Any, labels_or_correct: Any, bins: int = BINS) -> float:
    """Calibration error as a root of squares, with the sampling variance of each bin's accuracy taken off.

        sqrt( sum_b n_b / N max(0, (confidence_b - accuracy_b)^2 - accuracy_b (1 - accuracy_b) / (n_b - 1)) )

    This is an L2 measure: it is never compared with the L1 measure `ece`. A bin with one answer has no variance to take
    off.

    Args:
        probs_or_confidence: As in `ece`.
        labels_or_correct: As in `ece`.
        bins: B.

    Raises:
        InputError: as `ece`.

    Source:
        Kumar, Liang & Ma 2019; clipping at 0 in each bin: linnet's choice.
    """
    confidence, right = confidences(probs_or_confidence, labels_or_correct)
    index = equal_width(confidence, _whole(bins))
    return float(_debiased(*_sums(confidence, right, index, bins)))


def ece_debiased_interval(
    probs_or_confidence: Any,
    labels_or_correct: Any,
    bins: int = BINS,
    *,
    draws: int = 400,
    level: float = 0.95,
    rng_seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of `ece_debiased`: quantiles over samples drawn with replacement.

    A drawn sample varies about this sample as this one does about the truth, so the variance is taken off twice.

    Args:
        probs_or_confidence: As in `ece`.
        labels_or_correct: As in `ece`.
        bins: B.
        draws: Bootstrap samples.
        level: Coverage, 0 < level < 1.
        rng_seed: Same seed, same interval.

    Raises:
        InputError: as `ece`, or `level` is out of its range.
    """
    if not 0 < level < 1:
        raise InputError(f"`level` must be between 0 and 1 (got {level}). Give a coverage like 0.95.")
    confidence, right = confidences(probs_or_confidence, labels_or_correct)
    index = equal_width(confidence, _whole(bins))
    generator = np.random.default_rng(rng_seed)
    found = np.empty(draws)
    for number in range(draws):
        weight = np.bincount(generator.integers(len(right), size=len(right)), minlength=len(right))
        found[number] = _debiased(*_sums(confidence, right, index, bins, weight), times=2)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def classwise_ece(probs: Any, labels: Any, bins: int = BINS) -> float:
    """Mean over the classes of the calibration error of "this sample is of class c", whose confidence is p[c].

    A class that is absent from the labels counts like any other: its probabilities should be near 0.

    Args:
        probs: (N, C), or dense (N, C, H, W).
        labels: (N,) or (N, H, W).
        bins: Of equal width, as in `ece`.

    Raises:
        InputError: as `ece`.

    Source:
        Kull et al. 2019.
    """
    rows = probabilities("probs", probs)
    truth = class_labels("labels", labels, samples=len(rows), classes=rows.shape[1])
    return classwise(rows, truth, _whole(bins))


def classwise(probs: Floats, labels: Ints, bins: int) -> float:
    """`classwise_ece` of checked arguments."""
    samples, classes = probs.shape
    place = equal_width(probs, bins) + bins * np.arange(classes)
    hit = np.arange(classes) == labels[:, None]
    gaps = np.bincount(place.ravel(), (probs - hit).ravel(), minlength=bins * classes)
    return float(np.abs(gaps).sum() / (samples * classes))


def _sums(
    confidence: Floats, right: Bools, index: Ints, bins: int, weight: Ints | None = None
) -> tuple[Floats, Floats, Floats]:
    """Of each bin: how many answers, the sum of their confidences, and how many were right."""
    one = np.ones(len(right)) if weight is None else weight.astype(np.float64)
    n, sure, hits = (np.bincount(index, weights, minlength=bins) for weights in (one, one * confidence, one * right))
    return n.astype(np.float64), sure.astype(np.float64), hits.astype(np.float64)


def _debiased(n: Floats, confidence: Floats, right: Floats, *, times: int = 1) -> float:
    kept = n > 0
    n, confidence, accuracy = n[kept], confidence[kept] / n[kept], right[kept] / n[kept]
    squares = (confidence - accuracy) ** 2 - times * accuracy * (1 - accuracy) / np.maximum(n - 1, 1)
    return float(np.sqrt((n * np.maximum(squares, 0)).sum() / n.sum()))


def _whole(bins: int) -> int:
    if not isinstance(bins, Integral) or bins < 1:
        raise InputError(f"`bins` must be a whole number >= 1 (got {bins!r}).")
    return bins
