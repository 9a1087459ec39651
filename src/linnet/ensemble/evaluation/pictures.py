"""The picture of a report: four panels of one classifier's confidence and uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from linnet.arrays import Floats
from linnet.ensemble.metrics.rejection import curve_of
from linnet.errors import InputError
from linnet.results import atomic_path, reliability, share_interval


class Drawable(Protocol):
    """What of a `Report` is drawn."""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Of each set."""
        ...

    @property
    def samples(self) -> Mapping[str, Mapping[str, Floats]]:
        """Of each set."""
        ...

    @property
    def temperature(self) -> float | None:
        """Of the calibrated confidences."""
        ...

    @property
    def bins(self) -> int:
        """Of the reliability."""
        ...


_GRAY, _COLORS = "#808080", ("#1f9e89", "#d5803b")


def draw(report: Drawable, path: Path) -> Path:
    """Writes the picture; see `Report.plot`.

    Raises:
        InputError: the report is no classifier's, or holds no samples.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clean = report.samples.get("clean", {})
    if "confidence" not in clean:
        raise InputError(
            f"`plot` must have the samples of a classifier (got {', '.join(clean) or 'none'}). "
            "Give a report that `evaluate` has made of a classification or dense task."
        )
    figure = Figure(figsize=(9.6, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    _reliability(first, report)
    _rejection(second, report)
    _entropies(third, report)
    _shifts(fourth, report)
    for axes in (first, second, third, fourth):
        axes.grid(visible=True, color=_GRAY, alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return path


def _reliability(axes: Any, report: Drawable) -> None:
    clean = report.samples["clean"]
    axes.plot([0, 1], [0, 1], color=_GRAY, linestyle=":", linewidth=1)
    for name, color in zip(("confidence", "calibrated_confidence"), _COLORS, strict=True):
        if name not in clean:
            continue
        bins = reliability(clean[name], clean["accuracy"] > 0.5, bins=report.bins, edges="width")
        spread = [share_interval(one.right, one.n) for one in bins]
        error = np.array([(b.accuracy - low, high - b.accuracy) for b, (low, high) in zip(bins, spread, strict=True)])
        label = "before temperature" if name == "confidence" else f"temperature {report.temperature:.2f}"
        x, y = [one.confidence for one in bins], [one.accuracy for one in bins]
        axes.errorbar(x, y, yerr=np.maximum(error, 0).T, marker="o", color=color, capsize=2, linewidth=1.2, label=label)
        if name == "confidence":
            for one in bins:
                axes.annotate(str(one.n), (one.confidence, 0.01), fontsize=6, color=_GRAY, ha="center")
    axes.set(xlabel="confidence (numbers: answers in the bin)", ylabel="share right", title="Reliability, clean")
    axes.legend(frameon=False, fontsize=8)


def _rejection(axes: Any, report: Drawable) -> None:
    clean = report.samples["clean"]
    curve = curve_of(clean["confidence"], 1 - clean["accuracy"])
    axes.plot(curve.kept, curve.error, color=_COLORS[0])
    axes.set(xlabel="share of answers kept", ylabel="error among them", title=f"Rejection, AURC {curve.area:.4f}")


def _entropies(axes: Any, report: Drawable) -> None:
    found = {"clean": report.samples["clean"]["entropy"]}
    found |= {name: own["entropy"] for name, own in report.samples.items() if name.startswith("ood")}
    highest = max(float(values.max()) for values in found.values()) or 1.0
    for name, values in found.items():
        axes.hist(values, bins=40, range=(0, highest), density=True, histtype="step", label=name)
    axes.set(xlabel="entropy (nat)", ylabel="density", title="Uncertainty")
    axes.legend(frameon=False, fontsize=8)


def _shifts(axes: Any, report: Drawable) -> None:
    grades: dict[int, list[float]] = {0: [report.metrics["clean"]["ece"]]}
    for name, measures in report.metrics.items():
        severity = name.rpartition("/")[2]
        if name.startswith("shifted/") and severity.isdigit():
            grades.setdefault(int(severity), []).append(measures["ece"])
    found = sorted(grades)
    axes.plot(found, [float(np.mean(grades[one])) for one in found], marker="o", color=_COLORS[0])
    for one in found:
        axes.plot([one] * len(grades[one]), grades[one], ".", color=_GRAY, markersize=3)
    axes.set_xticks(found)
    axes.set(xlabel="severity of the generated corruptions (0: clean)", ylabel="ECE", title="Calibration under shift")
