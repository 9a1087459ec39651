"""`python -m benchmarks padam`: the step of every way and rival beside a memory stream, peak memory, import."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import goal
from benchmarks.padam import everyday, memory, step_time
from benchmarks.subject import Subject
from linnet.results import Record


def as_markdown(records: Sequence[Record]) -> str:
    """Step times and ratios to the floor; then the rows that have a goal."""
    rows = ["| model | p | way | ms | x floor | 95 % |", "|---|---|---|---|---|---|"]
    rows += [_row(record) for record in records if record.name.startswith("padam.step.")]
    return "\n".join([*rows, "", goal.as_markdown(records), "", *_reasons(records)])


def _row(record: Record) -> str:
    context = record.context
    start = f"| {context['model']} | {context['p']:g} | {context['way']} |"
    if record.value is None or record.interval is None:
        return f"{start} | not measured: {context['reason']} | |"
    low, high = record.interval
    return f"{start} {context['median_ms']:.3g} | {record.value:.2f} | {low:.2f} to {high:.2f} |"


def _reasons(records: Sequence[Record]) -> list[str]:
    """Why a goal is missed, one line each."""
    missed = (record.context for record in records if goal.missed(record) and "reason" in record.context)
    found = {f"- {context['what']}: {context['reason']}" for context in missed}
    return ["Missed:", *sorted(found)] if found else []


SUBJECT = Subject({"step": step_time.records, "everyday": everyday.records, "memory": memory.records}, as_markdown)
