"""Subject "natural": what a natural gradient step costs beside an SGD step, and the parts beside other hands' code."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import goal
from benchmarks.natural import dual, kfac, memory, page, standard
from benchmarks.subject import Subject
from linnet.results import Record


def as_markdown(records: Sequence[Record]) -> str:
    """The table of goals, with the reason where one is missed, and time to target as it was recorded."""
    return f"{goal.as_markdown(records)}\n\n{page.target_tables()}"


SUBJECT = Subject(
    {"standard": standard.measure, "kfac": kfac.measure, "dual": dual.measure, "memory": memory.records}, as_markdown
)
