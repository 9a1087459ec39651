"""What the pictures of an ensemble's report are drawn from, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet.ensemble import HatchEnsemble, rejection_curve
from linnet.ensemble.evaluation.report import Report
from linnet.recipe.plan import HeldOut
from linnet.results import reliability

_POINTS = 60  # of a rejection curve
_UNSURE = 8  # images shown
_BINS = 24  # of the histograms


def pictured(ensemble: HatchEnsemble, reports: Mapping[str, Report], held: HeldOut, outside: Tensor) -> dict[str, Any]:
    """The numbers behind each picture.

    Args:
        ensemble: The members, calibrated or not.
        reports: Method -> what was measured.
        held: Test images.
        outside: Images in 0..1 that belong to no class.

    Returns:
        Plain values, for JSON: reliability, rejection, entropies, unsure, grid.
    """
    images, labels = held.test
    inside = _answers(ensemble, held.prepare(images))
    beyond = _answers(ensemble, held.prepare(outside))
    truth = labels.numpy()
    edges = np.linspace(0, np.log(len(held.classes)), _BINS + 1)
    return {
        "reliability": {
            "before calibration": _bins(inside["pooled"], truth),
            **({} if ensemble.temperature is None else {"calibrated": _bins(inside["probs"], truth)}),
        },
        "rejection": {name: _rejection(report) for name, report in reports.items()},
        "entropies": {
            "edges": edges.tolist(),
            "inside": np.histogram(inside["entropy"], edges)[0].tolist(),
            "outside": np.histogram(beyond["entropy"], edges)[0].tolist(),
        },
        "unsure": _unsure(inside, images, truth, held.classes),
        "grid": _grid(reports),
        "nll": {name: report.metrics["clean"]["nll"] for name, report in reports.items()},
    }


@torch.no_grad()
def _answers(ensemble: HatchEnsemble, x: Tensor) -> dict[str, Any]:
    parts: dict[str, list[Tensor]] = {}
    for batch in x.split(512):
        out = ensemble(batch)
        for name in ("probs", "pooled", "entropy", "aleatoric", "epistemic"):
            parts.setdefault(name, []).append(getattr(out, name))
    return {name: torch.cat(found).numpy() for name, found in parts.items()}


def _bins(probs: Any, truth: Any) -> list[list[float]]:
    """[confidence, right, n] of each bin."""
    parts = reliability(probs.max(1), probs.argmax(1) == truth)
    return [[part.confidence, part.right, part.n] for part in parts]


def _rejection(report: Report) -> dict[str, list[float]]:
    own = report.samples["clean"]
    curve = rejection_curve(own["confidence"], own["accuracy"] > 0.5)
    chosen = np.unique(np.linspace(0, len(curve.kept) - 1, _POINTS).astype(int))
    return {"kept": curve.kept[chosen].tolist(), "error": curve.error[chosen].tolist()}


def _unsure(inside: Mapping[str, Any], images: Tensor, truth: Any, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The images of the largest entropy."""
    chosen = np.argsort(-inside["entropy"], kind="stable")[:_UNSURE]
    return [
        {
            "pixels": images[int(at)].permute(1, 2, 0).tolist(),
            "true": classes[int(truth[at])],
            "said": classes[int(inside["probs"][at].argmax())],
            "aleatoric": float(inside["aleatoric"][at]),
            "epistemic": float(inside["epistemic"][at]),
        }
        for at in chosen
    ]


def _grid(reports: Mapping[str, Report]) -> dict[str, Any]:
    """ECE of each corruption and severity, by method."""
    grids: dict[str, Any] = {"names": [], "severities": [], "ece": {}}
    for method, report in reports.items():
        cells = {}
        for place, measures in report.metrics.items():
            if place.count("/") == 2:
                _, name, severity = place.split("/")
                cells[name, int(severity)] = measures["ece"]
        names, severities = list(dict.fromkeys(n for n, _ in cells)), sorted({s for _, s in cells})
        grids["names"], grids["severities"] = names, severities
        grids["ece"][method] = [[cells[name, severity] for severity in severities] for name in names]
    return grids
