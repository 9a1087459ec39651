"""Calibration: the ensemble is pooled first, then one number makes its confidence fit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet.ensemble.metrics.answers import class_labels, rows
from linnet.ensemble.metrics.calibration_errors import ece
from linnet.ensemble.prediction.class_prediction import ClassPrediction
from linnet.ensemble.prediction.member_outputs import Ensemble, Gathered, gather, task_of
from linnet.ensemble.prediction.shapes import refuse_probabilities, require_class_logits, require_finite
from linnet.ensemble.prediction.value_prediction import ValuePrediction
from linnet.ensemble.training.trained_on import TrainedOn
from linnet.errors import InputError

BRACKET = (1e-3, 1e3)
"""Of 1 / T: where data can't bound the temperature, it ends here."""


@dataclass(frozen=True)
class Calibration:
    """What one calibration found.

    Attributes:
        temperature: T of a classifier, or the factor of a regression's variance.
        nll_before: Mean negative log-likelihood on the calibration data, uncalibrated.
        nll_after: The same, calibrated.
        ece_before: Expected calibration error; None for a regression.
        ece_after: The same, calibrated.
        n: Samples (pixels of dense predictions) that it was fitted on.
    """

    temperature: float
    nll_before: float
    nll_after: float
    ece_before: float | None
    ece_after: float | None
    n: int


def calibrate(
    model: Any,
    calibration: Any,
    *,
    task: str | None = None,
    training: Any = None,
    batch_size: int = 256,
    prepare: Any = None,
) -> Calibration:
    """Fits the one number that calibrates an ensemble or a module; the model is left as it is.

    A classifier is pooled first; then T minimises the NLL of softmax(log(pooled) / T), so that no decision changes. A
    regression's variance is multiplied by mean((y - mean)^2 / variance), which minimises its Gaussian NLL.

    Args:
        model: An ensemble or a module.
        calibration: A loader of (inputs, targets), a pair of tensors (inputs, targets), or a pair (member_logits
            (M, N, C), labels) of outputs at hand; for a regression (member_means, targets). A pair is read as
            `holds_outputs` says. It must not have been trained on, nor chosen any setting.
        task: Of a module; an ensemble has its own.
        training: What the model was trained on; a warning says so if it is the same loader or the same tensors.
        batch_size: Of whole tensors.
        prepare: Applied to the inputs of each batch first.

    Raises:
        InputError: fewer than two classes are present, labels don't fit, outputs are probabilities or not finite.

    Source:
        Guo et al. 2017; pooling before the temperature: Rahaman & Thiery 2021.
    """
    if training is not None and (calibration is training or TrainedOn(training).is_same(calibration)):
        warn_of_training_set(stacklevel=3)
    kind = task_of(model, task)
    found = gathered(model, calibration, task=kind, batch_size=batch_size, prepare=prepare)
    return fitted(found, task=kind)


def warn_of_training_set(*, stacklevel: int) -> None:
    """Says that calibration data must be held out."""
    warnings.warn(
        "`calibration` is the training set itself, on which a network is surer than on new data. Calibrate on data "
        "that was held out.",
        stacklevel=stacklevel + 1,
    )


def fitted(found: Gathered, *, task: str) -> Calibration:
    """The calibration of gathered outputs; see `calibrate`.

    Raises:
        InputError: as `calibrate`.
    """
    if task == "regression":
        return fit_variance(found.outputs, found.targets)
    if isinstance(found.outputs, tuple):
        raise InputError('`task` must be "regression" for pairs (mean, log variance).')
    return fit_temperature(found.outputs, found.targets)  # type: ignore[arg-type]  `gathered` saw to the targets


def gathered(
    model: Any,
    calibration: Any,
    *,
    task: str,
    batch_size: int = 256,
    prepare: Any = None,
    argument: str = "calibration",
) -> Gathered:
    """Outputs and targets of calibration data: of a pair of outputs as they are, else the model's own on each batch.

    Raises:
        InputError: outputs aren't what the task needs, or there are no targets.
    """
    if isinstance(calibration, tuple) and len(calibration) == 2 and holds_outputs(model, calibration, argument):
        outputs, targets = calibration
        outputs = outputs if isinstance(outputs, tuple) else torch.as_tensor(outputs)
        return Gathered(outputs, torch.as_tensor(targets))
    if isinstance(calibration, tuple) and len(calibration) == 2:
        calibration = tuple(map(torch.as_tensor, calibration))
    found = gather(model, calibration, argument=argument, task=task, batch_size=batch_size, prepare=prepare)
    if found.targets is None:
        raise InputError(f"`{argument}` must have targets (got inputs alone). Give pairs (inputs, targets).")
    return found


def holds_outputs(model: Any, pair: tuple[Any, Any], argument: str) -> bool:
    """Whether a pair is (member_outputs (M, N, ...), targets (N, ...)) rather than (inputs (N, ...), targets (N, ...)).

    The axis that is as long as the targets decides: the second one of outputs, the first one of inputs. Where both are,
    inputs are meant unless the model has N members.

    Args:
        model: An ensemble or a module.
        pair: The two.
        argument: Its name, for the error.

    Raises:
        InputError: neither axis fits, or both may be meant.
    """
    outputs, targets = pair
    if isinstance(outputs, tuple):
        return True  # (means, log variances)
    samples, shape = len(targets), tuple(np.shape(outputs))
    first, second = shape[:1] == (samples,), shape[1:2] == (samples,) and len(shape) > 1
    members = len(model) if isinstance(model, Ensemble) and isinstance(model, Sized) else 1
    if not first and not second:
        raise InputError(
            f"`{argument}` must be a loader, a pair (inputs, targets) of as many samples, or a pair (member_logits "
            f"(M, N, C), labels (N,)) (got shapes {shape} and {tuple(np.shape(targets))})."
        )
    if first and second and members == samples:
        raise InputError(
            f"`{argument}` must tell inputs from outputs (got a pair of shapes {shape} and {tuple(np.shape(targets))}, "
            f"which may be {samples} inputs or the outputs of {samples} members). Give [(inputs, targets)] for inputs, "
            "and another number of samples for outputs."
        )
    return second and not first


def fit_temperature(member_logits: Tensor, labels: Any) -> Calibration:
    """The temperature that minimises the pool's negative log-likelihood; see `calibrate`.

    Args:
        member_logits: (M, N, C) or dense (M, N, C, H, W).
        labels: (N,) or (N, H, W).

    Raises:
        InputError: fewer than two classes are present, labels don't fit, logits are probabilities or not finite.
    """
    require_class_logits("member_logits", member_logits)
    require_finite(member_logits, "logits")
    refuse_probabilities("member_logits", member_logits)
    log_pooled = rows(ClassPrediction(member_logits.detach()).log_pooled.cpu().numpy())
    truth = class_labels("labels", labels, samples=len(log_pooled), classes=log_pooled.shape[1])
    if len(np.unique(truth)) < 2:
        raise InputError(
            f"`labels` must hold at least 2 classes to calibrate on (got only class {truth[0]}). A set with one class "
            "can't tell sure answers from right ones: give held-out data of all classes."
        )
    z, y = torch.from_numpy(np.ascontiguousarray(log_pooled)), torch.from_numpy(truth)
    inverse = newton_inverse_temperature(z, y)
    if inverse in BRACKET:
        warnings.warn(
            f"The temperature is at the end of its range ({1 / inverse:g}): the calibration data can't bound it. "
            "Calibrate on more data, with some answers right and some wrong.",
            stacklevel=3,
        )
    tempered = (z * inverse).log_softmax(dim=1)
    place = torch.arange(len(y))
    return Calibration(
        temperature=1 / inverse,
        nll_before=-float(z[place, y].mean()),
        nll_after=abs(float(tempered[place, y].mean())),  # not -0.0
        ece_before=ece(z.exp(), y),
        ece_after=ece(tempered.exp(), y),
        n=len(y),
    )


def newton_inverse_temperature(z: Tensor, labels: Tensor) -> float:
    """b = 1 / T that minimises mean(logsumexp(b z) - b z[y]), which is convex in b.

    Newton from b = 1, with steps that leave the bracket replaced by halving it; first derivative mean(E_q[z] - z[y]),
    second mean(Var_q[z]), q = softmax(b z).

    Args:
        z: (N, C) logarithms of probabilities, or logits; float64.
        labels: (N,).

    Returns:
        Within `BRACKET`; 1 where the likelihood doesn't depend on b.
    """
    if float((z.amax(dim=1) - z.amin(dim=1)).max()) < 1e-12:
        return 1.0
    truth = z[torch.arange(len(labels)), labels]
    if bool((truth == z.amax(dim=1)).all()):
        return BRACKET[1]  # every answer is right, so that the likelihood rises with b for ever
    low, high = BRACKET
    b = 1.0
    for _ in range(200):
        q = (b * z).softmax(dim=1)
        mean = (q * z).sum(dim=1)
        slope = float((mean - truth).mean())
        if slope == 0:
            return b
        low, high = (b, high) if slope < 0 else (low, b)
        curvature = float((q * (z - mean[:, None]) ** 2).sum(dim=1).mean())
        step = b - slope / curvature if curvature > 0 else math.inf
        after = step if low < step < high else math.sqrt(low * high)
        if abs(after - b) < 1e-10 * max(1.0, b):
            return after if BRACKET[0] * 1.001 < after < BRACKET[1] / 1.001 else _nearest_end(after)
        b = after
    return b if BRACKET[0] * 1.001 < b < BRACKET[1] / 1.001 else _nearest_end(b)


def fit_variance(outputs: Any, targets: Any) -> Calibration:
    """The factor of a regression's variance that minimises its Gaussian negative log-likelihood.

    Args:
        outputs: (M, N, ...) means, or a pair (means, log variances).
        targets: (N, ...).

    Raises:
        InputError: shapes differ, or all members agree and none gives a variance.
    """
    means, log_variances = outputs if isinstance(outputs, tuple) else (outputs, None)
    require_finite(means, "means")
    out = ValuePrediction(means, log_variances)
    truth = torch.as_tensor(targets).double()
    if truth.shape != out.mean.shape:
        raise InputError(
            f"`targets` must have the shape of the answers, {tuple(out.mean.shape)} (got {tuple(truth.shape)})."
        )
    if not bool((out.variance > 0).all()):
        raise InputError(
            "the variance must be above 0 to be calibrated (got 0). Give members that differ, or that give log "
            "variances."
        )
    factor = float(((truth - out.mean) ** 2 / out.variance).mean())
    before = gaussian_nll(out.mean, out.variance, truth)
    return Calibration(factor, before, gaussian_nll(out.mean, out.variance * factor, truth), None, None, truth.numel())


def gaussian_nll(mean: Tensor, variance: Tensor, targets: Tensor) -> float:
    """Mean of (log(2 pi v) + (y - m)^2 / v) / 2, in nats, v floored at the smallest normal number."""
    floored = variance.clamp_min(torch.finfo(torch.float64).tiny)
    return float((0.5 * ((2 * math.pi * floored).log() + (targets - mean) ** 2 / floored)).mean())


def _nearest_end(b: float) -> float:
    ends: Sequence[float] = BRACKET
    return min(ends, key=lambda end: abs(math.log(end / b)))
