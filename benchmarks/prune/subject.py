"""`python -m benchmarks prune`: what pruning to a budget reaches, beside the goals set for it."""

from __future__ import annotations

from benchmarks.prune import budget, federated, graph, memory, runtime, step, training
from benchmarks.subject import Subject

SUBJECT = Subject(
    {
        "budget": budget.use,
        "exact": budget.exact,
        "step": step.records,
        "training": training.records,
        "runtime": runtime.speed,
        "latency": runtime.targets,
        "graph": graph.records,
        "memory": memory.records,
        "federated": federated.records,
    }
)
