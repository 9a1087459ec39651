"""The pictures of a study: heat map, curves over few images, mixtures. All are told apart in gray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.plan import MIXTURES, STARTS
from linnet.nuclei.transfer.report.tables import MIXTURE_NAMES, START_NAMES, marked, within
from linnet.report.figures import SERIES_COLORS, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", "-.", ":", (0, (1, 3)), (0, (5, 1, 1, 1, 1, 1)))
_MARKS = ("o", "s", "^", "D", "v", "P")
_BRIGHT = 0.465  # of the colour scale: black text above it, white below; both have a contrast of 4.5 there or more


def heat_map(findings: Findings) -> Figure:
    """F1 of every pair of groups, with its interval and n in the cell."""
    from matplotlib.figure import Figure

    names = findings.groups
    with drawing():
        figure = Figure(figsize=(1.6 + 1.15 * len(names), 1.5 + 0.75 * len(names)), layout="constrained")
        ax = figure.subplots()
        cells = [[findings.cell(source, target) for target in names] for source in names]
        values = np.array([[np.nan if cell is None else cell.mean for cell in row] for row in cells])
        image = ax.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for i, row in enumerate(cells):
            for j, cell in enumerate(row):
                if cell is None:
                    ax.text(j, i, "not run", ha="center", va="center", fontsize=7)
                    continue
                interval = cell.interval()
                told = "" if interval is None else f"\n{interval[0]:.2f} to {interval[1]:.2f}"
                color = "#000000" if cell.mean > _BRIGHT else "#ffffff"
                text = f"{cell.mean:.2f}{told}\nn = {cell.pictures} x {cell.seeds}"
                ax.text(j, i, text, ha="center", va="center", fontsize=7, color=color)
        ax.set_xticks(
            range(len(names)), [marked(findings, name) for name in names], rotation=30, ha="right", fontsize=8
        )
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.set_xlabel("tested on")
        ax.set_ylabel("trained on")
        figure.colorbar(image, ax=ax, label=f"F1 {within(findings, 'px')}", fraction=0.04)
    return figure


def shot_curves(findings: Findings) -> Figure | None:
    """F1 over the number of the target's images, a panel for each target; None where nothing was trained."""
    from matplotlib.figure import Figure

    targets = [t for t in findings.study.targets if any(any(findings.curve(t, start)) for start in STARTS)]
    if not targets:
        return None
    with drawing():
        figure = Figure(figsize=(5.2, 2.5 * len(targets) + 0.6), layout="constrained")
        axes = np.ravel(figure.subplots(len(targets), 1, squeeze=False))
        for ax, target in zip(axes, targets, strict=True):
            _curves_of(ax, findings, target)
        handles = {label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _curves_of(ax: Axes, findings: Findings, target: str) -> None:
    at = {k: place for place, k in enumerate((0, *findings.shots))}
    for number, start in enumerate(STARTS):
        curve = findings.curve(target, start)
        if not any(curve):
            continue
        x = [at[k] for k in curve]
        style = {"color": SERIES_COLORS[number], "linestyle": _LINES[number], "marker": _MARKS[number]}
        ax.plot(x, [found.mean for found in curve.values()], label=f"from {START_NAMES[start]}", linewidth=1.6, **style)
        bands = [found.interval() or (found.mean, found.mean) for found in curve.values()]
        low, high = zip(*bands, strict=True)
        ax.fill_between(x, low, high, color=SERIES_COLORS[number], alpha=0.15, linewidth=0)
        reached = findings.level_from(target, start)
        if reached is not None and reached in curve:
            ax.plot(at[reached], curve[reached].mean, "o", markersize=12, fillstyle="none", color=SERIES_COLORS[number])
    own = findings.cell(target, target)
    if own is not None:
        ax.axhline(own.mean, color="#808080", linewidth=1.4, linestyle=(0, (4, 2)), label="all of the target")
    ax.set_xticks(list(at.values()), [str(k) for k in at])
    ax.set_title(marked(findings, target), fontsize=9)
    ax.set_xlabel("images of the target", fontsize=8)
    ax.set_ylabel("F1", fontsize=8)
    ax.set_ylim(0, 1)
    ax.grid(visible=True, color="#808080", alpha=0.25, linewidth=0.6)


def mixture_chart(findings: Findings) -> Figure | None:
    """Mixture less target alone, with intervals; None where nothing was trained."""
    from matplotlib.figure import Figure

    found = {
        (target, weights): estimate
        for target in findings.groups
        for weights in MIXTURES
        if (estimate := findings.mixture_less_own(weights, target)) is not None
    }
    if not found:
        return None
    names = [target for target in findings.groups if any((target, weights) in found for weights in MIXTURES)]
    used = [weights for weights in MIXTURES if any((target, weights) in found for target in names)]
    with drawing():
        figure = Figure(figsize=(6.6, 1.6 + 0.62 * len(names)), layout="constrained")
        ax = figure.subplots()
        for number, weights in enumerate(used):
            rows = [(k, found[name, weights]) for k, name in enumerate(names) if (name, weights) in found]
            y = [k + 0.14 * (number - (len(used) - 1) / 2) for k, _ in rows]
            mean = np.array([estimate.mean for _, estimate in rows])
            bounds = np.array([estimate.interval() or (estimate.mean, estimate.mean) for _, estimate in rows])
            errors = np.abs(bounds.T - mean)
            ax.errorbar(
                mean, y, xerr=errors, fmt=_MARKS[number], color=SERIES_COLORS[number], label=MIXTURE_NAMES[weights],
                markersize=4.5, elinewidth=1.2,
            )  # fmt: skip
        margin = findings.study.settings["margin"]
        ax.axvspan(-margin, margin, color="#808080", alpha=0.25, linewidth=0)
        ax.axvline(0, color="#808080", linewidth=0.8)
        ax.set_yticks(range(len(names)), [marked(findings, name) for name in names], fontsize=8)
        ax.invert_yaxis()
        ax.set_xlabel(f"F1 of the mixture less F1 of the target alone (band: within {margin:g})")
        figure.legend(loc="outside lower center", ncols=1, fontsize=8)
    return figure
