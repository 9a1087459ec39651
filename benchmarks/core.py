"""`python -m benchmarks core`: what capture, Gram matrices, cost and files reach, beside the goals set for them."""

from __future__ import annotations

from benchmarks import core_capture, core_cost, core_files, core_graph
from benchmarks.goal import as_markdown
from linnet.results import Record

__all__ = ["as_markdown", "measure"]

PARTS = {
    "graph": core_graph.builds,
    "edit": core_graph.edits,
    "capture": core_capture.records,
    "cost": core_cost.records,
    "files": core_files.records,
}


def measure(*, quick: bool, only: str | None = None) -> list[Record]:
    """All records of the subject.

    Args:
        quick: Small sizes and three pairs: does it run? The numbers are no claim.
        only: One of `PARTS`; None for all.
    """
    return [record for name, part in PARTS.items() if only in (None, name) for record in part(quick=quick)]
