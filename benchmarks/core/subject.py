"""`python -m benchmarks core`: what capture, Gram matrices, cost and files reach, beside the goals set for them."""

from __future__ import annotations

from benchmarks.core import capture, cost, files, graph
from benchmarks.subject import Subject

SUBJECT = Subject(
    {
        "graph": graph.builds,
        "edit": graph.edits,
        "capture": capture.records,
        "cost": cost.records,
        "files": files.records,
    }
)
