"""The study's pictures: told apart by lightness, dashes and marks, so that gray print and colour-blind eyes do too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from linnet.results import read_records, t_interval
from papers.chen2020_padam.report.findings import Result, results
from papers.chen2020_padam.report.learning_rate import accuracies, fit_rule, ridge
from papers.chen2020_padam.scales import Scale
from papers.page import Picture, bare
from papers.study import Finished

STEP_TIMES = Path(__file__).parents[3] / "benchmarks" / "records" / "padam.jsonl"
"""Records of `python -m benchmarks padam`."""

# After Okabe and Ito, by falling darkness; dashes and marks say the same again.
_STYLES = (
    ("#000000", "-", "o"),
    ("#0072b2", "--", "s"),
    ("#d55e00", "-", "^"),
    ("#009e73", "-.", "D"),
    ("#cc79a7", ":", "v"),
    ("#e69f00", (0, (5, 1, 1, 1, 1, 1)), "P"),
)
_STEP_OF = "padam.step.resnet18.0.125."  # records of 11.2 M parameters, p = 1/8
_MAP_DEPTH = 0.1  # accuracies further below the best one share the darkest colour
_CURVES = ("sgdm", "adam", "adamw", "padam_4", "padam_8", "padam_linear")


def drawable(finished: Finished, scale: Scale) -> dict[str, Picture]:
    """The pictures that can be drawn, by name."""
    found = {row: result for row, result in results(finished, scale).items() if result.seeds()}
    points, spread, times = accuracies(finished, scale), _spread(finished, scale), _step_times()
    shown: dict[str, Picture] = {}
    if found:
        words = "Validation accuracy and training loss over the epochs: mean over seeds, band of one standard deviation"
        shown["curves"] = Picture(words, lambda: _curves(found))
        words = "Test accuracy after the last epoch: every seed, the mean and its 95 % t interval"
        shown["final"] = Picture(words, lambda: _final(found))
    if points:
        words = (
            "Validation accuracy over p and the learning rate; circles: the best learning rate, line: the fitted rule"
        )
        shown["map"] = Picture(words, lambda: _map(points, scale))
    if spread:
        words = "Spread of the effective rates k / D after the last update: 95 % over 5 % point, each run of the map"
        shown["spread"] = Picture(words, lambda: _spread_figure(spread))
    if times:
        words = "Time of an update as a multiple of the memory floor, 11.2 M parameters, p = 1/8"
        shown["step_time"] = Picture(words, lambda: _times(times))
    return shown


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    fig = Figure(figsize=(width, height), layout="constrained")
    axes = fig.subplots(1, columns, squeeze=False)[0]
    bare(*axes)
    return fig, list(axes)


def _curves(found: Mapping[str, Result]) -> Figure:
    fig, axes = _figure(9.5, 3.8, 2)
    shown = [row for row in _CURVES if row in found]
    for ax, name, label in zip(
        axes, ("curve", "loss_curve"), ("validation accuracy", "training loss, nat"), strict=True
    ):
        for (color, dash, mark), row in zip(_STYLES, shown, strict=False):
            values = np.array(found[row].curves(name))
            mean, sd = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else 0 * values.mean(0)
            epochs = np.arange(1, len(mean) + 1)
            ax.plot(epochs, mean, color=color, linestyle=dash, marker=mark, markersize=4, label=found[row].label)
            ax.fill_between(epochs, mean - sd, mean + sd, color=color, alpha=0.12, linewidth=0)
        ax.set_xticks(epochs)
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
    axes[1].legend(frameon=False, fontsize=8)
    return fig


def _final(found: Mapping[str, Result]) -> Figure:
    fig, [ax] = _figure(7.2, 0.9 + 0.34 * len(found))
    for place, result in enumerate(reversed(found.values())):
        values = result.numbers("test_accuracy")
        ax.plot(values, [place] * len(values), "o", color="#777777", markersize=4, fillstyle="none")
        mean = fmean(values)
        if len(values) > 1:
            low, high = t_interval(values)
            ax.plot([low, high], [place, place], color="#000000", linewidth=1.6)
        ax.plot([mean], [place], "D", color="#d55e00", markersize=6, markeredgecolor="#000000")
    if "sgdm" in found:
        ax.axvline(fmean(found["sgdm"].numbers("test_accuracy")), color="#0072b2", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(found)), [result.label for result in reversed(found.values())])
    ax.set_xlabel("test accuracy (dashed: mean of SGD with momentum)")
    return fig


def _map(points: Mapping[tuple[float, float], float | None], scale: Scale) -> Figure:
    fig, [ax] = _figure(6.4, 4.2)
    ps, lrs = list(scale.map_p), list(scale.map_lr)
    grid = np.array([[points[p, lr] if points[p, lr] is not None else np.nan for p in ps] for lr in lrs], dtype=float)
    ax.grid(visible=False)
    ax.set_facecolor("#ffffff")
    best = np.nanmax(grid)
    low = max(np.nanmin(grid), best - _MAP_DEPTH)
    shown = ax.imshow(grid, origin="lower", cmap="viridis", aspect="auto", vmin=low, vmax=best)
    for (row, column), value in np.ndenumerate(grid):
        dark = np.isnan(value) or value > low + 0.6 * (best - low)
        text = "diverged" if np.isnan(value) else f"{value:.3f}"
        ax.text(
            column,
            row - 0.33,
            text,
            ha="center",
            va="center",
            fontsize=8,
            zorder=5,
            color="#000000" if dark else "#ffffff",
        )
    peaks = ridge(points)
    logs, at = np.log(lrs), np.arange(len(lrs))
    places = [float(np.interp(np.log(peak.lr), logs, at)) for peak in peaks]
    ax.plot([ps.index(peak.p) for peak in peaks], places, "o", mfc="none", mec="#ffffff", mew=2.4, ms=13)
    ax.plot([ps.index(peak.p) for peak in peaks], places, "o", mfc="none", mec="#000000", mew=1.0, ms=13)
    rule = fit_rule(peaks)
    if rule is not None:
        line = [float(np.interp(np.log(rule.lr(p)), logs, at)) for p in ps]
        ax.plot(range(len(ps)), line, color="#ffffff", linewidth=3.2)
        ax.plot(range(len(ps)), line, color="#000000", linewidth=1.4, linestyle="--")
    ax.set_xticks(range(len(ps)), [f"{p:g}" for p in ps])
    ax.set_yticks(range(len(lrs)), [f"{lr:g}" for lr in lrs])
    ax.set_xlabel("p")
    ax.set_ylabel("learning rate")
    fig.colorbar(shown, ax=ax, label="validation accuracy", extend="min")
    return fig


def _spread(finished: Finished, scale: Scale) -> dict[float, list[float]]:
    """high / low of the effective rates by p, over the runs of the map that ended well."""
    found: dict[float, list[float]] = {}
    for record in finished.values():
        if record.context.get("stage") == "map" and float(record.context.get("rate_low", 0)) > 0:
            ratio = float(record.context["rate_high"]) / float(record.context["rate_low"])
            found.setdefault(float(record.context["p"]), []).append(ratio)
    return dict(sorted(found.items())) if len(found) > 1 else {}


def _spread_figure(spread: Mapping[float, list[float]]) -> Figure:
    fig, [ax] = _figure(5.6, 3.4)
    for p, values in spread.items():
        ax.plot([p] * len(values), values, "o", color="#777777", fillstyle="none", markersize=5)
    ax.plot(list(spread), [float(np.median(values)) for values in spread.values()], "D-", color="#0072b2")
    ax.set_yscale("log")
    ax.set_xticks(list(spread), [f"{p:g}" for p in spread])
    ax.set_xlabel("p")
    ax.set_ylabel("95 % point / 5 % point of k / D")
    return fig


def _step_times() -> dict[str, float]:
    """Time of an update over the memory floor, by what made it, from the benchmark's records; empty without them."""
    records = read_records(STEP_TIMES) if STEP_TIMES.is_file() else []
    shown = [record for record in records if record.name.startswith(_STEP_OF) and record.value is not None]
    return {str(record.context["way"]): float(record.value or 0) for record in shown}


def _times(times: Mapping[str, float]) -> Figure:
    fig, [ax] = _figure(7.2, 0.9 + 0.32 * len(times))
    names = list(reversed(times))
    ax.barh(names, [times[name] for name in names], color="#7fa8c9", edgecolor="#000000", linewidth=0.6)
    ax.axvline(1, color="#000000", linestyle="--", linewidth=1)
    ax.set_xlabel("time of an update / time of the memory traffic it needs")
    return fig
