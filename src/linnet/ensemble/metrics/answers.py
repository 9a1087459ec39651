"""Arguments of the metrics, checked once: probabilities with labels, or confidences with what was right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from linnet.arrays import Bools, Floats, Ints
from linnet.errors import InputError

_SUM_TOLERANCE = 1e-3  # half precision rounds each of C probabilities to 11 bits


def array_of(values: Any) -> npt.NDArray[Any]:
    """A NumPy array of a tensor (any device, with or without gradient) or of anything array-like."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values if values.dtype.is_floating_point and values.element_size() > 2 else _widened(values)).numpy()
    return np.asarray(values)


def probabilities(argument: str, values: Any) -> Floats:
    """(N, C) float64 of probabilities (N, C), or of dense ones (N, C, H, W), whose pixels become samples.

    Args:
        argument: Its name, for errors.
        values: What was given.

    Raises:
        InputError: another shape, fewer than two classes, no sample, NaN, a value outside of 0..1, or sums other
            than 1.
    """
    probs = rows(array_of(values))
    if probs.ndim != 2 or not len(probs) or probs.shape[1] < 2:
        raise InputError(
            f"`{argument}` must have the shape (N, C), with at least one sample and two classes (got "
            f"{tuple(np.shape(values))})."
        )
    probs = probs.astype(np.float64)
    low, high = float(probs.min()), float(probs.max())
    sums = probs.sum(axis=1)
    if not (low >= 0 and high <= 1 + 1e-6 and bool((np.abs(sums - 1) <= _SUM_TOLERANCE).all())):
        raise InputError(
            f"`{argument}` must be probabilities in 0..1 that sum to 1 over the classes (got values from {low:.4g} to "
            f"{high:.4g} and sums from {sums.min():.4g} to {sums.max():.4g}). Apply softmax to logits first."
        )
    return probs


def class_labels(argument: str, values: Any, *, samples: int, classes: int) -> Ints:
    """(N,) int64 of labels, dense ones flattened.

    Args:
        argument: Their name, for errors.
        values: What was given.
        samples: N.
        classes: C; labels must be 0 .. C - 1.

    Raises:
        InputError: labels that aren't whole numbers, aren't N, or are out of range.
    """
    labels = array_of(values)
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"`{argument}` must be whole numbers (got {labels.dtype}). Give the index of each sample's class."
        )
    labels = labels.reshape(-1).astype(np.int64)
    if len(labels) != samples:
        raise InputError(f"`{argument}` must hold {samples} labels, one for each sample (got {len(labels)}).")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"`{argument}` must be from 0 to {classes - 1}, for {classes} classes (got {labels.min()} to "
            f"{labels.max()})."
        )
    return labels


def confidences(probs_or_confidence: Any, labels_or_correct: Any) -> tuple[Floats, Bools]:
    """(N,) confidence of each answer and whether it was right.

    Args:
        probs_or_confidence: (N, C) probabilities, or (N,) confidences in 0..1.
        labels_or_correct: (N,) labels beside probabilities, (N,) booleans (or 0 and 1) beside confidences.

    Raises:
        InputError: shapes, types or ranges don't fit.
    """
    given = array_of(probs_or_confidence)
    if given.ndim != 1:
        probs = probabilities("probs_or_confidence", probs_or_confidence)
        labels = class_labels("labels_or_correct", labels_or_correct, samples=len(probs), classes=probs.shape[1])
        return np.minimum(probs.max(axis=1), 1.0), probs.argmax(axis=1) == labels
    correct = array_of(labels_or_correct)
    if correct.shape != given.shape or not len(given):
        raise InputError(
            f"`labels_or_correct` must have the shape of the confidences, {given.shape}, and at least one entry (got "
            f"{correct.shape})."
        )
    if correct.dtype.kind not in "bui" or bool((correct.astype(np.int64) * (1 - correct.astype(np.int64)) != 0).any()):
        raise InputError(
            f"`labels_or_correct` must be booleans beside confidences (got {correct.dtype}). Give `answers == labels`, "
            "or probabilities (N, C) with labels."
        )
    confidence = given.astype(np.float64)
    if not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise InputError(
            f"`probs_or_confidence` must be in 0..1 (got values from {confidence.min():.4g} to "
            f"{confidence.max():.4g}). Apply softmax to logits first."
        )
    return confidence, correct.astype(np.bool_)


def rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N, C) of (N, C) or (N, C, ...): the pixels of dense values become rows."""
    return values if values.ndim < 3 else np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])


def scores(argument: str, values: Any) -> Floats:
    """(N,) float64 of one score per sample, dense ones flattened.

    Raises:
        InputError: there is none, or one is NaN.
    """
    flat = array_of(values).reshape(-1).astype(np.float64)
    if not len(flat) or bool(np.isnan(flat).any()):
        raise InputError(f"`{argument}` must hold at least one score and no NaN (got {len(flat)} scores).")
    return flat


def _widened(values: Tensor) -> Tensor:
    """bfloat16 and half precision as float32, which NumPy has; whole numbers and booleans as they are."""
    return values.float() if values.is_floating_point() else values
