"""Reliability: whether a classifier is right as often as its confidence says, drawn from records."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from linnet.report.figures import drawing, figure
from linnet.report.html_page import Section, beside
from linnet.report.marks import GRID, marks_of, words
from linnet.report.tables import Cell, measured, number, table
from linnet.results import Record

NAME = "reliability"
"""Name of the records, one for each bin."""


def reliability_section(records: Sequence[Record]) -> Section | None:
    """The reliability of each method that has bins among the records; None when there is none."""
    methods = list(dict.fromkeys(r.method for r in records if r.name == NAME))
    if not methods:
        return None
    lead = (
        "Answers in bins of equal number by the probability that was given to them: on the line a classifier is right "
        "as often as it says. Bars are 95 % intervals."
    )
    return Section("Calibration", [beside(_chart(records, methods), _table(records, methods))], lead=lead)


def _bins(records: Sequence[Record], method: str) -> list[Record]:
    own = [r for r in records if r.name == NAME and r.method == method and r.value is not None]
    return sorted(own, key=lambda r: int(r.context["bin"]))


def _error(records: Sequence[Record], method: str) -> float | None:
    return next((r.value for r in records if r.name == "ece" and r.method == method), None)


def _label(records: Sequence[Record], method: str, methods: Sequence[str]) -> str:
    said = f"expected calibration error {number(_error(records, method), 3)}"
    return f"{words(method)}: {said}" if len(methods) > 1 else said


def _chart(records: Sequence[Record], methods: Sequence[str]) -> Markup:
    from matplotlib.figure import Figure

    with drawing():
        fig = Figure(figsize=(5.6, 4.6), layout="constrained")
        axes = fig.subplots()
        axes.plot([0, 1], [0, 1], color="#808080", linewidth=1.0, linestyle=":", label="as sure as right")
        lowest = 1.0
        for method, mark in marks_of(methods).items():
            bins = _bins(records, method)
            x, y = [float(r.context["confidence"]) for r in bins], [float(r.value or 0.0) for r in bins]
            spread = [r.interval or (r.value, r.value) for r in bins]
            error = [
                [max(value - float(low or 0), 0.0) for value, (low, _) in zip(y, spread, strict=True)],
                [max(float(high or 0) - value, 0.0) for value, (_, high) in zip(y, spread, strict=True)],
            ]
            axes.errorbar(
                x, y, yerr=error, color=mark.color, marker=mark.sign, markersize=5, linewidth=1.4, elinewidth=0.8,
                linestyle=mark.line, markerfacecolor=mark.color if mark.filled else "none", capsize=2,
                label=_label(records, method, methods),
            )  # fmt: skip
            lowest = min([lowest, *x, *(float(low or 0) for low, _ in spread)])
        axes.set_xlim(max(lowest - 0.03, 0), 1.01)
        axes.set_ylim(max(lowest - 0.03, 0), 1.02)
        axes.set_xlabel("probability given to the answer")
        axes.set_ylabel("share of answers that were right")
        axes.grid(visible=True, **GRID)
        axes.legend(loc="upper left", fontsize=9)
        told = "; ".join(_label(records, method, methods) for method in methods)
        return figure(fig, alt=f"Share of right answers over the probability given to them. {told}.")


def _table(records: Sequence[Record], methods: Sequence[str]) -> Markup:
    several = len(methods) > 1
    columns = [f"{what}{f', {method}' if several else ''}" for method in methods for what in ("said", "right")]
    by = {method: _bins(records, method) for method in methods}
    rows: list[list[Cell]] = []
    for place in range(max(len(bins) for bins in by.values())):
        row: list[Cell] = [f"{place + 1}"]
        for bins in by.values():
            one = bins[place] if place < len(bins) else None
            row += (
                [None, None] if one is None else [float(one.context["confidence"]), measured(one.value, one.interval)]
            )
        rows.append(row)
    errors = ", ".join(_label(records, method, methods) for method in methods)
    return table(["bin", *columns], rows, caption=f"Bins of equal number of answers; {errors}")
