"""Pictures of the study: what each arm reaches for its compute."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure

from papers.page import Picture, Pictures, bare
from papers.study import Finished
from papers.xia2021_hatch.arms import HATCHED
from papers.xia2021_hatch.report.tables import NAMES, number, runs, sets_of
from papers.xia2021_hatch.scales import Scale


def drawable(finished: Finished, scale: Scale) -> Pictures:
    """One picture for each set that has records."""
    return {
        f"{name}": Picture(
            f"{name}: calibrated NLL (clean) and ECE (shifted) against the compute of training; hatches are green",
            partial(_scatter, finished, name),
        )
        for name in sets_of(finished, scale)
    }


def _scatter(finished: Finished, name: str) -> Figure:
    found = runs(finished, name)
    made = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, measure in zip(made.subplots(1, 2), ("calibrated_nll", "shifted_ece"), strict=True):
        for arm, seeds in found.items():
            x = [number(record, "macs_train") for record in seeds.values()]
            y = [number(record, measure) for record in seeds.values()]
            color = "#1f9e89" if arm in HATCHED else "#808080" if arm != "full" else "#d5803b"
            axes.plot(x, y, "o", markersize=3, alpha=0.5, color=color)
            axes.annotate(NAMES[arm], (sum(x) / len(x), sum(y) / len(y)), fontsize=6, color=color)
        axes.set_xlabel("MACs of training")
        axes.set_ylabel(measure.replace("_", " "))
        bare(axes)
    return made
