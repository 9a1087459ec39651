"""docs/pruning.md: what pruning reaches beside the goals set for it, from the records."""

from __future__ import annotations

from benchmarks import DOCS, RECORDS
from benchmarks.goal import as_markdown
from benchmarks.page import Page, measured
from linnet.results import Record, read_records

_HEAD = """# What pruning reaches

This page is written by `python -m benchmarks readme` from the records of `python -m benchmarks prune`. Times are
ratios of pairs that ran in turns in one process: their median, with its bootstrap 95 % interval in brackets (of whole
trainings: the range over the seeds). A goal that is missed stays in the table, with the reason. How to prune: [in your
own loop](howto/prune.md), [to a latency](howto/prune_to_a_latency.md).
"""
_PARTS = {
    "Budgets, and the proof that the small network is the masked one": ("use", "over", "fit", "exact"),
    "Time and memory of training": ("step", "training", "memory"),
    "Milliseconds of the result": ("runtime", "latency"),
    "Graph, plan and slice": ("graph",),
    "Files and federated rounds": ("file", "scatter", "round_bytes"),
}


def text() -> str:
    """The page's text."""
    known = read_records(RECORDS / "prune.jsonl")
    parts = [_HEAD]
    for title, names in _PARTS.items():
        own = [record for record in known if record.name.split(".")[1] in names]
        if own:
            parts += [f"## {title}\n\n{as_markdown(own)}\n"]
    return "\n".join([*parts, _threads(known), measured(known).strip(), ""])


def _threads(records: list[Record]) -> str:
    threads = sorted({str(record.context["threads"]) for record in records if "threads" in record.context})
    used = sorted({str(record.context["with"]) for record in records if "with" in record.context})
    with_ = f" ({', '.join(used)})" if used else ""
    return f"Torch had {' or '.join(threads) or 'its usual number of'} threads; onnxruntime{with_} one, on one core.\n"


PAGE = Page(DOCS / "pruning.md", text)
