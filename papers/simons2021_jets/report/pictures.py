"""The pictures of the study."""

from __future__ import annotations

import statistics

from matplotlib.figure import Figure

from papers.page import Picture, bare
from papers.simons2021_jets.networks import KINDS
from papers.simons2021_jets.report.findings import Study
from papers.simons2021_jets.report.tables import NAMES

COLOURS = ("#666666", "#b5452c", "#1f6f8b", "#5a9e6f", "#7c5aa0", "#c49a2c", "#9aa5ad")


def drawable(study: Study) -> dict[str, Picture]:
    """The pictures for which there are records."""
    if not any(study.accuracies(kind, width) for kind in KINDS for width in study.scale.widths):
        return {}
    caption = "Test accuracy of every seed against bit-weighted additions of one frame; lines join the widths"
    return {"accuracy_cost": Picture(caption, lambda: _pareto(study))}


def _pareto(study: Study) -> Figure:
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    ax = figure.subplots()
    for kind, colour in zip(KINDS, COLOURS, strict=True):
        line = []
        for width in study.scale.widths:
            records = [r for r in study.seeds(kind, width) if "bit_adds" in r.context]
            if records:
                cost = statistics.fmean(float(r.context["bit_adds"]) for r in records)
                values = [100 * float(r.value or 0) for r in records]
                ax.scatter([cost] * len(values), values, s=14, color=colour, alpha=0.6)
                line.append((cost, statistics.fmean(values)))
        if line:
            ax.plot(*zip(*line, strict=True), color=colour, label=NAMES[kind], linewidth=1.4)
    ax.set_xscale("log")
    ax.set_xlabel("bit-weighted additions a frame")
    ax.set_ylabel("test accuracy, %")
    ax.legend(frameon=False, fontsize=8)
    bare(ax)
    return figure
