"""Pictures of a pruned network: its layers, its accuracy for its time, its mask history, its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from linnet.report.figures import SERIES_COLORS, drawing, figure
from linnet.report.marks import GRID, marks_of, words
from linnet.report.tables import number
from linnet.results import Record

if TYPE_CHECKING:
    from linnet.prune.training.history import MaskLife

_FEW_LAYERS = 6  # as many lines as there are colours; more become rows of a colour scale
_MOST_CLASSES = 40


@dataclass(frozen=True)
class Layer:
    """A class of channels, before and after.

    Attributes:
        name: Of the class.
        before: Channels of the given network.
        after: Channels that stayed.
        macs: MACs of the layers that make them, (before, after).
        whole: Why it stayed whole; empty if it might have been pruned.
    """

    name: str
    before: int
    after: int
    macs: tuple[int, int]
    whole: str = ""


def layer_bars(layers: Sequence[Layer]) -> Markup:
    """(a) Channels of each layer before and after, and its share of all MACs."""
    from matplotlib.figure import Figure

    totals = [max(sum(layer.macs[side] for layer in layers), 1) for side in (0, 1)]
    dense, small = marks_of(["dense", "pruned"])["dense"], marks_of(["dense", "pruned"])["pruned"]
    with drawing():
        fig = Figure(figsize=(8.6, max(1.6, 0.42 * len(layers) + 1.0)), layout="constrained")
        left, right = fig.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        places = range(len(layers))
        for axes, sides in (
            (left, ([layer.before for layer in layers], [layer.after for layer in layers])),
            (right, tuple([100 * layer.macs[side] / totals[side] for layer in layers] for side in (0, 1))),
        ):
            axes.barh(
                [place - 0.2 for place in places], sides[0], 0.36, facecolor="none", edgecolor=dense.color,
                hatch="////", linewidth=1.0, label="dense",
            )  # fmt: skip
            axes.barh([place + 0.2 for place in places], sides[1], 0.36, color=small.color, label="pruned")
            axes.grid(visible=True, axis="x", **GRID)
            axes.set_axisbelow(True)
        for place, layer in enumerate(layers):
            left.annotate(f" {layer.before:,}", (layer.before, place - 0.2), va="center", fontsize=7.5)
            left.annotate(f" {layer.after:,}", (layer.after, place + 0.2), va="center", fontsize=7.5)
        left.set_yticks(list(places), [words(layer.name) for layer in layers])
        left.invert_yaxis()
        left.margins(x=0.12)
        left.set_xlabel("channels")
        right.set_xlabel("share of the network's own MACs, %")
        fig.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=2)
        told = "; ".join(f"{layer.name} {layer.before} to {layer.after}" for layer in layers)
        return figure(fig, alt=f"Channels of each layer, dense to pruned: {told}")


def accuracy_for_time(accuracy: Mapping[str, Record], times: Mapping[str, Record]) -> Markup:
    """(b) Accuracy against measured milliseconds, with 95 % intervals of both.

    Args:
        accuracy: Method -> its accuracy.
        times: Method -> its median time; the methods that have both are drawn.
    """
    from matplotlib.figure import Figure

    both = [method for method in times if method in accuracy]
    with drawing():
        fig = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = fig.subplots()
        marks = marks_of(both)
        for method in both:
            x, y, mark = times[method], accuracy[method], marks[method]
            axes.errorbar(
                [x.value or 0.0], [y.value or 0.0], xerr=_spread(x), yerr=_spread(y), color=mark.color,
                marker=mark.sign, markersize=8, markerfacecolor=mark.color if mark.filled else "none", capsize=3,
                linestyle="none", markeredgewidth=1.6,
            )  # fmt: skip
            axes.annotate(
                words(method), (x.value or 0.0, y.value or 0.0), xytext=(9, 7), textcoords="offset points", fontsize=9.5
            )
        values = [times[method].value or 0.0 for method in both]
        if values and max(values) > 4 * min(values) > 0:
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0)
        axes.margins(x=0.22, y=0.25)
        axes.set_xlabel("measured milliseconds of one sample, median")
        axes.set_ylabel("accuracy")
        axes.grid(visible=True, **GRID)
        told = "; ".join(
            f"{method} {number(accuracy[method].value, 3)} at {number(times[method].value, 3)} ms" for method in both
        )
        return figure(fig, alt=f"Accuracy against measured time: {told}")


def mask_life(life: MaskLife, dense: Mapping[str, int], last_step: int | None) -> Markup:
    """(d) Kept channels of each layer over training, and the share of the budget that the masked network takes.

    Args:
        life: What was noted.
        dense: Class name -> channels of the given network.
        last_step: Where training ended, if that is known.
    """
    from matplotlib.figure import Figure

    end = max(last_step or 0, life.steps[-1] + 1)
    with drawing():
        height = 4.8 if len(life.names) <= _FEW_LAYERS else min(3.2 + 0.22 * len(life.names), 14)
        fig = Figure(figsize=(6.6, height), layout="constrained")
        top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=(height - 1.7, 1.7))
        if len(life.names) <= _FEW_LAYERS:
            _lines(top, life, dense, end)
        else:
            _rows(fig, top, life, dense, end)
        _budget(bottom, life, end)
        bottom.set_xlim(0, end)
        told = "; ".join(
            f"{name} {dense.get(name, 0)} to {kept}" for name, kept in zip(life.names, life.kept[-1], strict=True)
        )
        return figure(fig, alt=f"Kept channels of each layer over {end} training steps: {told}")


def class_changes(dense: Mapping[str, Record], pruned: Mapping[str, Record]) -> Markup:
    """(e) Accuracy of each class before and after, sorted by the change, the largest loss on top.

    Args:
        dense: Class -> accuracy of the dense network.
        pruned: Class -> accuracy of the pruned one.
    """
    from matplotlib.figure import Figure

    names = by_change(dense, pruned)
    if len(names) > _MOST_CLASSES:
        names = [*names[: _MOST_CLASSES // 2], *names[-_MOST_CLASSES // 2 :]]
    marks = marks_of(["dense", "pruned"])
    with drawing():
        fig = Figure(figsize=(5.2, 0.32 * len(names) + 1.3), layout="constrained")
        axes = fig.subplots()
        for place, name in enumerate(names):
            ends = [dense[name].value or 0.0, pruned[name].value or 0.0]
            axes.plot(ends, [place, place], color="#808080", linewidth=1.2, zorder=1)
            for sets, mark in ((dense, marks["dense"]), (pruned, marks["pruned"])):
                axes.errorbar(
                    [sets[name].value or 0.0], [place], color=mark.color, marker=mark.sign, markersize=7,
                    markerfacecolor=mark.color if mark.filled else "none", markeredgewidth=1.5, linestyle="none",
                    label=("dense" if sets is dense else "pruned") if not place else None,
                )  # fmt: skip
        axes.set_yticks(range(len(names)), [words(name) for name in names])
        axes.invert_yaxis()
        axes.margins(y=0.5 / max(len(names), 1))
        axes.set_xlabel("accuracy in the class")
        axes.grid(visible=True, axis="x", **GRID)
        fig.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
        told = "; ".join(f"{n} {number(dense[n].value, 3)} to {number(pruned[n].value, 3)}" for n in names)
        return figure(fig, alt=f"Accuracy in each class, dense to pruned, largest loss first: {told}")


def by_change(dense: Mapping[str, Record], pruned: Mapping[str, Record]) -> list[str]:
    """Classes that both measured, the largest loss of accuracy first."""
    both = [n for n in pruned if n in dense and pruned[n].value is not None and dense[n].value is not None]
    return sorted(both, key=lambda name: (pruned[name].value or 0.0) - (dense[name].value or 0.0))


def _spread(record: Record) -> list[list[float]] | None:
    if record.interval is None or record.value is None:
        return None
    low, high = record.interval
    return [[max(record.value - low, 0.0)], [max(high - record.value, 0.0)]]


def _lines(axes: Any, life: MaskLife, dense: Mapping[str, int], end: int) -> None:
    for number_, name in enumerate(life.names):
        steps, kept = [0, life.steps[0], *life.steps, end], [row[number_] for row in life.kept]
        whole = dense.get(name, kept[0])
        style = ("-", "--", "-.", ":")[number_ % 4]
        axes.plot(
            steps, [whole, whole, *kept, kept[-1]], drawstyle="steps-post", linestyle=style,
            color=SERIES_COLORS[number_ % len(SERIES_COLORS)], linewidth=1.8, label=words(name),
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_ylabel("channels in use")
    axes.grid(visible=True, **GRID)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)


def _rows(fig: Any, axes: Any, life: MaskLife, dense: Mapping[str, int], end: int) -> None:
    """A row for each layer, its colour the share of its channels in use."""
    edges = [0, *(max(step, 0) for step in life.steps), end]
    shares = [
        [1.0, *(row[place] / max(dense.get(name, row[place]), 1) for row in life.kept)]
        for place, name in enumerate(life.names)
    ]
    mesh = axes.pcolormesh(edges, range(len(shares) + 1), shares, cmap="viridis", vmin=0, vmax=1, rasterized=False)
    axes.set_yticks([place + 0.5 for place in range(len(shares))], [words(name) for name in life.names], fontsize=8)
    axes.invert_yaxis()
    fig.colorbar(mesh, ax=axes, label="share of channels in use")


def _budget(axes: Any, life: MaskLife, end: int) -> None:
    limits = list(dict.fromkeys(name for row in life.used for name in row))
    for place, limit in enumerate(limits):
        shares = [row.get(limit, 0.0) for row in life.used]
        axes.plot(
            [*life.steps, end], [*shares, shares[-1]], drawstyle="steps-post", linewidth=1.8,
            linestyle=("-", "--", "-.", ":")[place % 4], color=SERIES_COLORS[place % len(SERIES_COLORS)],
            label=limit.replace("_", " "),
        )  # fmt: skip
    axes.axhline(1.0, color="#808080", linewidth=1.4)
    axes.annotate("budget", (0.005, 1.0), xycoords=("axes fraction", "data"), va="bottom", fontsize=8.5)
    axes.set_ylim(0, 1.25)
    axes.set_ylabel("of the budget")
    axes.set_xlabel("training step")
    axes.grid(visible=True, **GRID)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)
