"""The study's pictures: told apart by lightness, dashes and marks, so that gray print and colour-blind eyes do too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from linnet.prune.training.history import MaskLife
from linnet.results import t_interval
from papers.page import Picture, bare
from papers.qi2021_pruning.report.findings import Study, label, numbers

# After Okabe and Ito; dashes and marks say the same again.
_STYLES = {
    "ours": ("#d55e00", "-", "o"),
    "uniform": ("#000000", "--", "s"),
    "uniform_longer": ("#666666", ":", "D"),
    "l1": ("#0072b2", "-.", "^"),
    "torch_pruning": ("#009e73", (0, (5, 1, 1, 1, 1, 1)), "v"),
    "per_layer": ("#cc79a7", (0, (3, 2)), "P"),
    "random": ("#e69f00", (0, (1, 1)), "X"),
}
_BATCH = 64
_SHADES = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("-", "--", "-.", ":")


def drawable(study: Study) -> dict[str, Picture]:
    """The pictures that can be drawn, by name."""
    shown: dict[str, Picture] = {}
    if study.times:
        words = (
            f"Test accuracy against measured milliseconds of {_BATCH} images (torch, one thread): mean over seeds and "
            "its 95 % t interval; a line joins the budgets of an arm"
        )
        shown["accuracy_ms"] = Picture(words, lambda: _accuracy_ms(study))
    lives = {name: life for name in study.scale.sets if (life := _life(study, name)) is not None}
    if lives:
        words = (
            f"Channels in use over the training at {study.scale.budgets[0].name} of the MACs, seed 1, by depth; "
            "below them the share of the limit that is used, with the budget's line"
        )
        shown["life"] = Picture(words, lambda: _lives(lives))
    return shown


def _accuracy_ms(study: Study) -> Figure:
    sets = study.scale.sets
    fig = Figure(figsize=(5.2 * len(sets), 4.6), layout="constrained", facecolor="#ffffff")
    axes = fig.subplots(1, len(sets), squeeze=False)[0]
    budgets = sorted(study.scale.budgets, key=lambda target: target.macs)
    for ax, data in zip(axes, sets, strict=True):
        for arm, (color, dash, mark) in _STYLES.items():
            points = [_point(study, data, target.name, arm) for target in budgets]
            _line(ax, [p for p in points if p is not None], color, dash, mark, label(arm))
        whole = _point(study, data, "", "dense")
        if whole is not None:
            _line(ax, [whole], "#000000", "-", "*", label("dense"))
        ax.set_title(data, fontsize=10)
        ax.set_xlabel(f"ms of {_BATCH} images")
    bare(*axes)
    axes[0].set_ylabel("test accuracy")
    columns = 1 + len(sets)
    fig.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False, fontsize=8
    )
    return fig


def _point(study: Study, data: str, budget: str, arm: str) -> tuple[float, float, float, float] | None:
    """(ms, mean accuracy, low, high)."""
    values, ms = numbers(study.arm(data, budget, arm)), study.ms(data, budget, arm, _BATCH)
    if not values or ms is None:
        return None
    mean = fmean(values)
    low, high = t_interval(values) if len(values) > 2 else (mean, mean)
    return ms, mean, low, high


def _line(ax, points: list[tuple[float, float, float, float]], color: str, dash, mark: str, name: str) -> None:
    if not points:
        return
    ms, mean, low, high = np.array(points).T
    size = 11 if mark == "*" else 6
    ax.errorbar(
        ms, mean, yerr=[mean - low, high - mean], color=color, linestyle=dash, marker=mark, markersize=size,
        markeredgecolor="#000000", markeredgewidth=0.5, linewidth=1.3, elinewidth=0.9, capsize=2.5, label=name,
    )  # fmt: skip


@dataclass(frozen=True)
class _Life:
    """A mask's life: widths and used share by step, the dense widths before, the steps of the freeze and of the end."""

    life: MaskLife
    dense: Sequence[int]
    frozen: float
    end: int


def _life(study: Study, data: str) -> _Life | None:
    record, dense = (study.arm(data, study.scale.budgets[0].name, arm).get(1) for arm in ("ours", "dense"))
    if record is None or dense is None or "life" not in record.context:
        return None
    whole, own, trained = (
        float(dense.context["macs"]),
        float(record.context["macs"]),
        float(record.context["train_macs"]),
    )
    end = int(record.context["steps"])
    frozen = end * (trained / study.scale.epochs - own) / (whole - own)
    widths = [width for stage in study.scale.stages for width in stage]
    return _Life(MaskLife.from_json(str(record.context["life"])), widths, frozen, end)


def _lives(lives: dict[str, _Life]) -> Figure:
    fig = Figure(figsize=(5.2 * len(lives), 5.2), layout="constrained", facecolor="#ffffff")
    rows = fig.subplots(2, len(lives), squeeze=False, sharex="col", height_ratios=[3, 1])
    for column, (data, found) in enumerate(lives.items()):
        top, bottom = rows[0][column], rows[1][column]
        life, end = found.life, found.end
        steps = [*life.steps, end]
        for place in range(len(life.names)):
            kept = [row[place] for row in life.kept]
            color, dash = _SHADES[place % len(_SHADES)], _DASHES[place % len(_DASHES)]
            shown = [found.dense[place], *kept, kept[-1]]
            top.step([0, *steps], shown, where="post", color=color, linestyle=dash, label=f"layer {place + 1}")
        used = [max(row.values()) for row in life.used]
        bottom.step(steps, [*used, used[-1]], where="post", color="#0072b2", linewidth=1.2)
        bottom.axhline(1.0, color="#d55e00", linestyle="--", linewidth=1.4, label="budget")
        bottom.set_ylim(min(0.9, *used) - 0.02, 1.04)
        bottom.legend(frameon=False, fontsize=8, loc="lower right")
        top.set_title(data, fontsize=10)
        bottom.set_xlabel("step (dotted: masks freeze, channels are taken out)")
        for ax in (top, bottom):
            ax.axvline(found.frozen, color="#808080", linestyle=":", linewidth=1.2)
            ax.set_xlim(0, end)
        bare(top, bottom)
    rows[0][0].set_ylabel("channels in use")
    rows[1][0].set_ylabel("share of the limit")
    rows[0][0].legend(frameon=False, fontsize=8)
    return fig
