"""`python -m benchmarks ensemble`: rates of the generated suite, seconds of an evaluation, members in one call."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import goal
from benchmarks.ensemble import corruptions, evaluation, executions
from benchmarks.subject import Subject
from linnet.results import Record


def as_markdown(records: Sequence[Record]) -> str:
    """The rate of each corruption; then the rows that have a goal."""
    rates = [record for record in records if record.name.startswith("corruptions.rate.")]
    rows = ["| corruption | images/s | slowest severity |", "|---|---|---|"]
    rows += [
        f"| {record.name.rpartition('.')[2]} | {record.value or 0:,.0f} | {record.context['lowest']:,.0f} |"
        for record in rates
    ]
    return "\n".join([*(rows if rates else []), "", goal.as_markdown(records)]).strip()


SUBJECT = Subject(
    {"corruptions": corruptions.measure, "evaluation": evaluation.measure, "executions": executions.measure},
    as_markdown,
)
