"""Loss against step: measured points on the predicted lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import fmean

from matplotlib.figure import Figure

from linnet.results import Record
from papers.karakida2020_ngd.report.abstract import records_of
from papers.karakida2020_ngd.trials import CURVES
from papers.page import Picture
from papers.study import Finished

# After Okabe and Ito; dashes and marks say the same again.
_STYLES = (
    ("#000000", "-", "o"),
    ("#0072b2", "--", "s"),
    ("#d55e00", "-.", "^"),
    ("#009e73", ":", "D"),
    ("#cc79a7", (0, (5, 1, 1, 1)), "v"),
    ("#e69f00", (0, (1, 3)), "x"),
)
CAPTION = "Loss against step, c = {c:g}: marks are measured, lines are predicted before training; means over the seeds"


def drawable(finished: Finished) -> dict[str, Picture]:
    """The pictures that can be drawn, by name."""
    shown: dict[str, Picture] = {}
    for c in (0.5, 1.0):
        records = {a: records_of(finished, "curve", approx=a, c=c) for a in CURVES}
        if any(records.values()):
            shown[f"curves_{c:g}"] = Picture(CAPTION.format(c=c), partial(_curves, records, c), dpi=130)
    return shown


def _curves(records: dict[str, Sequence[Record]], c: float) -> Figure:
    drawn = Figure(figsize=(9, 3.6), layout="constrained")
    axes = drawn.subplots(1, 2)
    for part, ax in zip(("train", "test"), axes, strict=True):
        for (approx, found), (color, dash, mark) in zip(records.items(), _STYLES, strict=True):
            if not found:
                continue
            steps = sorted(int(k.rpartition("_")[2]) for k in found[0].context if k.startswith(f"{part}_"))
            measured = [fmean(float(r.context[f"{part}_{s}"]) for r in found) for s in steps]
            line = [fmean(float(r.context[f"line_{part}_{s}"]) for r in found) for s in steps]
            ax.plot(steps, [max(v, 1e-12) for v in line], color=color, linestyle=dash, linewidth=1)
            ax.plot(steps, [max(v, 1e-12) for v in measured], mark, color=color, label=approx, fillstyle="none")
        ax.set(xlabel="step", ylabel=f"{part} loss", yscale="log", title=f"{part}, c = {c:g}")
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend(fontsize=8)
    return drawn
