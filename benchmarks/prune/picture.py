"""The README's part on pruning: a table and two pictures (light, dark) from the records of one recipe's run.

linnet run recipes/prune.toml && cp runs/prune/record.jsonl benchmarks/records/prune_recipe.jsonl
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks import DOCS, RECORDS
from benchmarks.page import provenance
from linnet.report.marks import marks_of
from linnet.results import Record, read_records

RUN = RECORDS / "prune_recipe.jsonl"
LIGHT, DARK = (DOCS / "images" / f"pruned_{theme}.png" for theme in ("light", "dark"))
_METHODS = ("dense", "pruned")
_THEMES = {LIGHT: ("#fcfcfa", "#1d2326"), DARK: ("#121618", "#e2e7e6")}
_ROWS = (
    ("multiply-accumulates", "macs", "{:,.0f}"),
    ("parameters", "params", "{:,.0f}"),
    ("milliseconds of one image, median (torch, 1 thread)", "ms p50", "{:.3f}"),
    ("test accuracy", "accuracy", "{:.4f}"),
    ("expected calibration error", "ece", "{:.4f}"),
)


def table() -> str:
    """The table of the README."""
    records = read_records(RUN)
    rows = ["| | dense | pruned | ratio, or difference |", "|---|---|---|---|"]
    for words, name, form in _ROWS:
        dense, small = (_of(records, name, method) for method in _METHODS)
        rows.append(f"| {words} | {_cell(dense, form)} | {_cell(small, form)} | {_ratio(dense, small)} |")
    return "\n".join([*rows, "", f"Measured by {provenance(records)}"])


def draw() -> tuple[Path, ...]:
    """Writes the pictures: channels of each layer before and after, and accuracy for measured time."""
    records = read_records(RUN)
    for place, (paper, ink) in _THEMES.items():
        figure = Figure(figsize=(9.2, 3.1), dpi=110, facecolor=paper, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _layers(left, records, ink)
        _accuracy(right, records, ink)
        for axes in (left, right):
            axes.set_facecolor(paper)
            axes.tick_params(colors=ink)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(ink)
            axes.xaxis.label.set_color(ink)
            axes.yaxis.label.set_color(ink)
        place.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(place, metadata={"Software": None})
    return tuple(_THEMES)


def _layers(axes: Axes, records: list[Record], ink: str) -> None:
    found = {(str(r.context["layer"]), r.method): r.value or 0.0 for r in records if r.name == "channels of layer"}
    names = list(dict.fromkeys(layer for layer, _ in found))
    for method, mark in marks_of(_METHODS).items():
        shift = -0.2 if method == "dense" else 0.2
        style = (
            {"color": mark.color} if mark.filled else {"facecolor": "none", "edgecolor": mark.color, "hatch": "////"}
        )
        widths = [found[name, method] for name in names]
        axes.barh([place + shift for place in range(len(names))], widths, 0.36, label=method, **style)
        for place, width in enumerate(widths):
            axes.annotate(f" {width:.0f}", (width, place + shift), va="center", fontsize=8, color=ink)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("channels")
    axes.legend(frameon=False, labelcolor=ink, loc="lower right")


def _accuracy(axes: Axes, records: list[Record], ink: str) -> None:
    for method, mark in marks_of(_METHODS).items():
        time, right = _of(records, "ms p50", method), _of(records, "accuracy", method)
        x, y = time.value or 0.0, right.value or 0.0
        axes.errorbar(
            [x], [y], xerr=_spread(time), yerr=_spread(right), color=mark.color, marker=mark.sign, markersize=8,
            markerfacecolor=mark.color if mark.filled else "none", capsize=3, markeredgewidth=1.6,
        )  # fmt: skip
        axes.annotate(method, (x, y), xytext=(8, 7), textcoords="offset points", color=ink, fontsize=9)
    axes.set_xlim(left=0)
    axes.margins(x=0.2, y=0.3)
    axes.set_xlabel("measured ms of one image")
    axes.set_ylabel("test accuracy")


def _of(records: list[Record], name: str, method: str) -> Record:
    return next(r for r in records if r.name == name and r.method == method and "epoch" not in r.context)


def _spread(record: Record) -> list[list[float]] | None:
    if record.interval is None or record.value is None:
        return None
    low, high = record.interval
    return [[max(record.value - low, 0.0)], [max(high - record.value, 0.0)]]


def _cell(record: Record, form: str) -> str:
    shown = form.format(record.value)
    if record.interval is None:
        return shown
    return f"{shown} [{', '.join(form.format(bound) for bound in record.interval)}]"


def _ratio(dense: Record, small: Record) -> str:
    if not dense.value or small.value is None:
        return "-"
    return (
        f"{small.value - dense.value:+.4f}" if dense.name in ("accuracy", "ece") else f"{small.value / dense.value:.3f}"
    )
