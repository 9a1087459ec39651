"""`python -m benchmarks padam`: the step of every way and rival beside a memory stream, peak memory, import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks import goal
from benchmarks.padam import memory, step_time
from benchmarks.subject import Subject
from linnet.results import Record


def as_markdown(records: Sequence[Record]) -> str:
    """Step times and ratios to the floor; then the rows that have a goal."""
    rows = ["| model | p | way | ms | x floor | 95 % |", "|---|---|---|---|---|---|"]
    rows += [_row(record) for record in records if record.name.startswith("padam.step.")]
    return "\n".join([*rows, "", goal.as_markdown([_explained(record) for record in records]), "", *_reasons(records)])


def _row(record: Record) -> str:
    context = record.context
    start = f"| {context['model']} | {context['p']:g} | {context['way']} |"
    if record.value is None or record.interval is None:
        return f"{start} | not measured: {context['reason']} | |"
    low, high = record.interval
    return f"{start} {context['median_ms']:.3g} | {record.value:.2f} | {low:.2f} to {high:.2f} |"


def _missed(record: Record) -> bool:
    return "bound" in record.context and record.value is not None and record.value > float(record.context["bound"])


def _explained(record: Record) -> Record:
    """The record with a reason only where a goal is missed or nothing was measured."""
    if _missed(record) or record.value is None:
        return record
    context = {key: value for key, value in record.context.items() if key != "reason"}
    return replace(record, context=context)


def _reasons(records: Sequence[Record]) -> list[str]:
    """Why a goal is missed, one line each."""
    found = {f"- {record.context['what']}: {record.context['reason']}" for record in records if _missed(record)}
    return ["Missed:", *sorted(found)] if found else []


SUBJECT = Subject({"step": step_time.records, "memory": memory.records}, as_markdown)
