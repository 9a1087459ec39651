"""All measures of one set of answers, by name; what `Report.metrics` holds for each set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from linnet.arrays import Floats
from linnet.ensemble.calibration.scaling import gaussian_nll
from linnet.ensemble.metrics.answers import class_labels, rows
from linnet.ensemble.metrics.calibration_errors import classwise, ece_debiased
from linnet.ensemble.metrics.detection import auroc, fpr95
from linnet.ensemble.metrics.likelihood import squared_distances
from linnet.ensemble.metrics.rejection import best_area, curve_of
from linnet.ensemble.prediction.class_prediction import ClassPrediction
from linnet.ensemble.prediction.member_outputs import Gathered
from linnet.ensemble.prediction.value_prediction import ValuePrediction
from linnet.errors import InputError
from linnet.results import calibration_error, reliability

_LEVELS = np.arange(1, 20) / 20


@dataclass(frozen=True)
class Measured:
    """Measures of one set.

    Attributes:
        metrics: By name.
        samples: Of each sample, by name; what means are taken over, and what pictures need.
        n: Samples.
    """

    metrics: Mapping[str, float]
    samples: Mapping[str, Floats]
    n: int


def measure(found: Gathered, *, task: str, temperature: float | None, bins: int) -> Measured:
    """The measures of gathered outputs.

    Args:
        found: Outputs with targets.
        task: Of the model.
        temperature: Of the calibrated measures, or the factor of a variance; None: without them.
        bins: Of the calibration errors.

    Raises:
        InputError: targets don't fit the outputs, or there are none.
    """
    if found.targets is None:
        raise InputError("targets are needed to measure answers (got inputs alone). Give pairs (inputs, targets).")
    if task == "regression":
        return _values(predicted_values(found), found.targets, factor=temperature)
    return _classes(predicted_classes(found), found.targets, temperature=temperature, bins=bins)


def predicted_classes(found: Gathered) -> ClassPrediction:
    """The uncalibrated prediction of gathered logits."""
    if isinstance(found.outputs, tuple):
        raise InputError('`task` must be "regression" for pairs (mean, log variance).')
    return ClassPrediction(found.outputs)


def predicted_values(found: Gathered) -> ValuePrediction:
    """The uncalibrated prediction of gathered values."""
    return ValuePrediction(*found.outputs) if isinstance(found.outputs, tuple) else ValuePrediction(found.outputs)


def uncertainties(found: Gathered, *, task: str) -> dict[str, Floats]:
    """Total and epistemic uncertainty of each sample: of dense predictions the mean over its pixels."""
    if task == "regression":
        values = predicted_values(found)
        named = {"variance": values.variance, "epistemic": values.epistemic}
    else:
        classes = predicted_classes(found)
        named = {"entropy": classes.entropy, "epistemic": classes.epistemic}
    return {name: score.reshape(len(score), -1).mean(dim=1).numpy() for name, score in named.items()}


def detection(inside: Mapping[str, Floats], outside: Mapping[str, Floats]) -> dict[str, float]:
    """AUROC and false alarms of telling outside from inside, by each kind of uncertainty."""
    measures = {"auroc": auroc, "fpr95": fpr95}
    return {f"{name}_{kind}": of(inside[kind], outside[kind]) for name, of in measures.items() for kind in inside}


def _classes(out: ClassPrediction, targets: Any, *, temperature: float | None, bins: int) -> Measured:
    logs = rows(out.log_pooled.numpy())
    labels = class_labels("labels", targets, samples=len(logs), classes=logs.shape[1])
    own = np.arange(len(labels))
    probs = np.exp(logs)
    right = probs.argmax(axis=1) == labels
    confidence = np.minimum(probs.max(axis=1), 1.0)
    area = curve_of(confidence, ~right).area
    samples = {
        "accuracy": right.astype(np.float64),
        "nll": -logs[own, labels],
        "brier": squared_distances(probs, labels),
        "disagreement": out.disagreement.reshape(-1).numpy(),
        "confidence": confidence,
        "entropy": out.entropy.reshape(-1).numpy(),
        "epistemic": out.epistemic.reshape(-1).numpy(),
    }
    metrics = {name: float(samples[name].mean()) for name in ("accuracy", "nll", "brier")} | {
        "ece": calibration_error(reliability(confidence, right, bins=bins, edges="width")),
        "ece_debiased": ece_debiased(confidence, right, bins),
        "classwise_ece": classwise(probs, labels, bins),
        "aurc": area,
        "e_aurc": area - best_area(right),
        "disagreement": float(samples["disagreement"].mean()),
    }
    if temperature is not None:
        calm = torch.from_numpy(logs / temperature).log_softmax(dim=1).numpy()
        sure = np.minimum(np.exp(calm.max(axis=1)), 1.0)
        samples |= {
            "calibrated_nll": -calm[own, labels],
            "calibrated_brier": squared_distances(np.exp(calm), labels),
            "calibrated_confidence": sure,
        }
        metrics |= {name: float(samples[name].mean()) for name in ("calibrated_nll", "calibrated_brier")}
        metrics["calibrated_ece"] = calibration_error(reliability(sure, right, bins=bins, edges="width"))
    return Measured(metrics, samples, len(labels))


def _values(out: ValuePrediction, targets: Any, *, factor: float | None) -> Measured:
    truth = torch.as_tensor(targets).double()
    if truth.shape != out.mean.shape:
        raise InputError(
            f"targets must have the shape of the answers, {tuple(out.mean.shape)} (got {tuple(truth.shape)})."
        )
    gap = (truth - out.mean).reshape(-1).numpy()
    spread = out.variance.reshape(-1).numpy()
    samples = {"mse": gap**2, "mae": np.abs(gap), "variance": spread, "epistemic": out.epistemic.reshape(-1).numpy()}
    metrics = {"rmse": math.sqrt(float(samples["mse"].mean())), "mae": float(samples["mae"].mean())}
    if bool((spread > 0).all()):
        metrics["nll"] = gaussian_nll(out.mean, out.variance, truth)
        metrics["interval_error"] = _interval_error(gap, spread)
        metrics["aurc"] = curve_of(-spread, samples["mse"]).area
        if factor is not None:
            metrics["calibrated_nll"] = gaussian_nll(out.mean, out.variance * factor, truth)
            metrics["calibrated_interval_error"] = _interval_error(gap, spread * factor)
    return Measured(metrics, samples, len(gap))


def _interval_error(gap: Floats, variance: Floats) -> float:
    """Mean over the levels .05 .. .95 of |share of targets inside of the Gaussian's central interval - level|."""
    inside = torch.erf(torch.from_numpy(np.abs(gap) / np.sqrt(2 * variance))).numpy()
    return float(np.mean([abs((inside <= level).mean() - level) for level in _LEVELS]))
