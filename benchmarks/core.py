"""`python -m benchmarks core`: what capture, Gram matrices, cost and files reach, beside the goals set for them."""

from __future__ import annotations

from benchmarks import core_capture, core_cost, core_files, core_graph
from benchmarks.goal import as_markdown
from linnet.results import Record

__all__ = ["as_markdown", "measure"]

PARTS = (core_graph, core_capture, core_cost, core_files)


def measure(*, quick: bool) -> list[Record]:
    """All records of the subject.

    Args:
        quick: Small sizes and three pairs: does it run? The numbers are no claim.
    """
    return [record for part in PARTS for record in part.records(quick=quick)]
