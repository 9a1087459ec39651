"""A classifier's quality as records: accuracy, also in each class, likelihood and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.errors import InputError
from linnet.results.calibration import BINS, Bin, calibration_error, reliability
from linnet.results.interval import mean_interval, share_interval
from linnet.results.record import Record

_LEVEL = 0.95


def classification_records(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    bins: int = BINS,
    facts: Mapping[str, Any] | None = None,
) -> list[Record]:
    """Records of one classifier on one set of examples.

        accuracy, accuracy in class   share of right answers, Wilson's 95 % interval
        nll                           mean negative log-likelihood of the true class, in nats, normal 95 % interval
        ece                           expected calibration error over bins of equal mass
        reliability                   of each bin: the share of right answers, beside its mean confidence

    Args:
        logits: (N, C).
        labels: (N,) whole numbers in 0 .. C - 1.
        classes: Name of each class; its number if None.
        bins: Of confidence.
        facts: Further fields of every record: split, method, rng_seed, context.

    Raises:
        InputError: the sizes don't match, or a logit isn't finite.
    """
    scores, truth = _checked(logits, labels)
    names = [str(number) for number in range(scores.shape[1])] if classes is None else list(classes)
    shared = dict(facts or {})
    context = dict(shared.pop("context", {}))
    shifted = scores - scores.max(axis=1, keepdims=True)
    likelihood = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses, answers = -likelihood[np.arange(len(truth)), truth], scores.argmax(axis=1)
    right = answers == truth
    parts = reliability(np.exp(likelihood.max(axis=1)), right, bins=bins)
    spread = {"interval": mean_interval(losses.tolist(), level=_LEVEL), "level": _LEVEL} if len(losses) > 1 else {}
    records = [
        _share("accuracy", int(right.sum()), len(right), context=context, **shared),
        Record.measured("nll", float(losses.mean()), unit="nat", n=len(losses), context=context, **spread, **shared),
        Record.measured("ece", calibration_error(parts), n=len(right), context=context, **shared),
    ]
    for number, name in enumerate(names):
        own = right[truth == number]
        records.append(
            _share("accuracy in class", int(own.sum()), len(own), context=context | {"class": name}, **shared)
        )
    return records + reliability_records(parts, context=context, **shared)


def reliability_records(
    parts: Sequence[Bin], *, context: Mapping[str, Any] | None = None, **facts: Any
) -> list[Record]:
    """A record of each bin: the share of right answers with Wilson's 95 % interval, beside its mean confidence.

    Args:
        parts: From `reliability`.
        context: Of every record.
        **facts: Further fields of every record.
    """
    return [
        _share(
            "reliability",
            part.right,
            part.n,
            context=dict(context or {}) | {"bin": number, "confidence": part.confidence},
            **facts,
        )
        for number, part in enumerate(parts)
    ]


def _checked(logits: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 2 or truth.shape != scores.shape[:1] or not len(truth):
        raise InputError(
            f"`logits` and `labels` must have the shapes (N, C) and (N,) with N >= 1 (got {scores.shape} and "
            f"{truth.shape})."
        )
    if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise InputError(
            f"`labels` must be whole numbers from 0 to {scores.shape[1] - 1}, the numbers of the classes (got "
            f"{truth.dtype} from {truth.min()} to {truth.max()})."
        )
    if not np.isfinite(scores).all():
        raise InputError("`logits` must be finite (got NaN or infinity). Train the classifier again, at a lower rate.")
    return scores, truth.astype(np.int64)


def _share(name: str, hits: int, n: int, **facts: Any) -> Record:
    if n == 0:
        return Record.measured(name, None, n=0, **facts)
    return Record.measured(name, hits / n, n=n, interval=share_interval(hits, n, level=_LEVEL), level=_LEVEL, **facts)
