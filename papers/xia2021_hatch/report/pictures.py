"""Pictures of the study: what each arm reaches for its compute."""

from __future__ import annotations

from functools import partial
from statistics import mean

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
            f"{name}: calibrated NLL (clean) and ECE (shifted) of every seed and their mean; beside each arm its "
            "share of the largest compute of training; hatches are green, the full ensemble is orange",
            partial(_strips, finished, name),
        )
        for name in sets_of(finished, scale)
    }


def _strips(finished: Finished, name: str) -> Figure:
    found = runs(finished, name)
    most = max(mean([number(one, "macs_train") for one in seeds.values()]) for seeds in found.values())
    ranked = sorted(found, key=lambda arm: mean([number(one, "calibrated_nll") for one in found[arm].values()]))
    made = Figure(figsize=(10, 0.6 + 0.32 * len(ranked)), layout="constrained")
    panels = made.subplots(1, 2, sharey=True)
    for axes, measure in zip(panels, ("calibrated_nll", "shifted_ece"), strict=True):
        for row, arm in enumerate(ranked):
            values = [number(one, measure) for one in found[arm].values()]
            color = "#1f9e89" if arm in HATCHED else "#d5803b" if arm == "full" else "#808080"
            axes.plot(values, [row] * len(values), "o", markersize=4, alpha=0.5, color=color)
            axes.plot([mean(values)] * 2, [row - 0.3, row + 0.3], color=color, linewidth=2)
        axes.set_xlabel(measure.replace("_", " ").replace("nll", "NLL").replace("ece", "ECE") + ", lower is better")
        bare(axes)
    shares = {arm: mean([number(one, "macs_train") for one in found[arm].values()]) / most for arm in ranked}
    panels[0].set_yticks(range(len(ranked)), [f"{NAMES[arm]}, {shares[arm]:.0%}" for arm in ranked], fontsize=8)
    panels[0].invert_yaxis()
    return made
