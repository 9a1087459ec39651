"""Subject "natural": what a natural gradient step costs beside an SGD step, and the parts beside other hands' code."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import natural_dual, natural_kfac, natural_memory, natural_page
from benchmarks.goal import as_markdown as goal_table
from linnet.results import Record


def measure(*, quick: bool) -> list[Record]:
    """Every row.

    Args:
        quick: Small networks and few repetitions: does it run?
    """
    parts = (natural_kfac.measure, natural_dual.measure, natural_memory.records)
    return [record for part in parts for record in part(quick=quick)]


def as_markdown(records: Sequence[Record]) -> str:
    """The table of goals, with the reason where one is missed, and time to target as it was recorded."""
    return f"{goal_table(records)}\n\n{natural_page.target_tables()}"
