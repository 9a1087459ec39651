"""Proper scores of probabilities: negative log-likelihood and the Brier score."""

from __future__ import annotations

from typing import Any

import numpy as np

from linnet.arrays import Floats, Ints
from linnet.ensemble.metrics.answers import array_of, class_labels, probabilities


def nll(probs: Any, labels: Any) -> float:
    """Mean negative log-likelihood of the true class, in nats: -mean_n log p_n[y_n].

    Probabilities are floored at the smallest normal number of their type, so that one that has underflowed costs its
    most (87 nats in float32, 708 in float64) and not infinity. Where logits are at hand, `evaluate` computes it from
    the logarithms, which don't underflow.

    Args:
        probs: (N, C), or dense (N, C, H, W); a tensor or an array.
        labels: (N,) or (N, H, W), whole numbers in 0 .. C - 1. A class may be absent.

    Raises:
        InputError: shapes, types or ranges don't fit, or rows don't sum to 1.

    Example:
        >>> round(nll([[0.5, 0.5], [0.25, 0.75]], [0, 1]), 4)
        0.4904
    """
    return float(losses(probs, labels).mean())


def brier(probs: Any, labels: Any) -> float:
    """Brier score: mean_n sum_c (p_n[c] - [c = y_n])^2, 0 .. 2.

    Args:
        probs: (N, C), or dense (N, C, H, W).
        labels: (N,) or (N, H, W).

    Raises:
        InputError: as `nll`.

    Source:
        Brier 1950, the sum over all classes.
    """
    rows = probabilities("probs", probs)
    return float(
        squared_distances(rows, class_labels("labels", labels, samples=len(rows), classes=rows.shape[1])).mean()
    )


def losses(probs: Any, labels: Any) -> Floats:
    """(N,) negative log-likelihood of each sample; as `nll`."""
    rows = probabilities("probs", probs)
    truth = class_labels("labels", labels, samples=len(rows), classes=rows.shape[1])
    given = array_of(probs).dtype
    floor = np.finfo(given if given.kind == "f" else np.float64).tiny
    return -np.log(np.maximum(rows[np.arange(len(rows)), truth], floor))


def squared_distances(probs: Floats, labels: Ints) -> Floats:
    """(N,) sum_c (p[c] - [c = y])^2 of each row."""
    gap = probs.copy()
    gap[np.arange(len(labels)), labels] -= 1
    return (gap**2).sum(axis=1)
