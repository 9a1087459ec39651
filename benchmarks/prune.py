"""`python -m benchmarks prune`: what pruning to a budget reaches, beside the goals set for it."""

from __future__ import annotations

from benchmarks import (
    prune_budget,
    prune_federated,
    prune_graph,
    prune_memory,
    prune_runtime,
    prune_step,
    prune_training,
)
from benchmarks.goal import as_markdown
from linnet.results import Record

__all__ = ["as_markdown", "measure"]

PARTS = {
    "budget": prune_budget.use,
    "exact": prune_budget.exact,
    "step": prune_step.records,
    "training": prune_training.records,
    "runtime": prune_runtime.speed,
    "latency": prune_runtime.targets,
    "graph": prune_graph.records,
    "memory": prune_memory.records,
    "federated": prune_federated.records,
}


def measure(*, quick: bool, only: str | None = None) -> list[Record]:
    """All records of the subject.

    Args:
        quick: Small sizes and few pairs: does it run? The numbers are no claim.
        only: One of `PARTS`; None for all.
    """
    return [record for name, part in PARTS.items() if only in (None, name) for record in part(quick=quick)]
