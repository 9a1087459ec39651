"""`python -m benchmarks core`: what capture, Gram matrices, cost and files reach, beside the goals set for them."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import core_capture, core_cost, core_files
from linnet.results import Record

PARTS = (core_capture, core_cost, core_files)


def measure(*, quick: bool) -> list[Record]:
    """All records of the subject.

    Args:
        quick: Small sizes and three pairs: does it run? The numbers are no claim.
    """
    return [record for part in PARTS for record in part.records(quick=quick)]


def as_markdown(records: Sequence[Record]) -> str:
    """One row per record: what, goal, measured with its interval, whether the goal is met."""
    rows = ["| what | beside | goal | measured | met |", "|---|---|---|---|---|"]
    rows += [_row(record) for record in records if record.name.startswith("core.")]
    return "\n".join(rows)


def _row(record: Record) -> str:
    context = record.context
    if record.value is None:
        return f"| {context['what']} | {context['beside']} | {context['goal']} | not measured: {context['reason']} | |"
    interval = "" if record.interval is None else f" [{record.interval[0]:.3g}, {record.interval[1]:.3g}]"
    met = "yes" if record.value <= float(context["bound"]) else "no"
    unit = f" {record.unit}" if record.unit else ""
    return (
        f"| {context['what']} | {context['beside']} | {context['goal']} | {record.value:.3g}{interval}{unit} | {met} |"
    )
