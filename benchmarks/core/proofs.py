"""docs/proofs.md: what core reaches and how every zoo network fares, from the records."""

from __future__ import annotations

from benchmarks import DOCS, RECORDS
from benchmarks.core import zoo
from benchmarks.goal import as_markdown
from benchmarks.page import Page, measured
from linnet.results import read_records

_HEAD = """# What core reaches

This page is written by `python -m benchmarks readme` from the records. Times are ratios of pairs that ran in turns in
one process, with the bootstrap 95 % interval of their median. A goal that is missed stays in the table, with the
reason.
"""
_TRAINED = """## Narrowed in the middle of training

The same on real data: a network is trained, narrowed with its optimizer and trained on, beside its masked twin.
"""
_PROOFS = """## Every edit of the zoo

Each network is widened and narrowed at random; the figures are the largest max |f - g| / max |f| over the outputs, in
eval and train mode, against the given network (widen) and against the masked one (narrow). "Refused" edits were refused
by name before anything was built. The peer, torch-pruning 1.6.1, gets its documented call and the same channels; what
it makes is compared with the same masked network.
"""


def text() -> str:
    """The page's text."""
    core, training, edits = (read_records(RECORDS / f"{name}.jsonl") for name in ("core", "core_training", "core_zoo"))
    tables = [_HEAD, as_markdown(core), measured(core), _TRAINED, as_markdown(training), measured(training)]
    parts = [*tables, _PROOFS, zoo.as_markdown(edits), measured(edits)]
    return "\n".join(f"{part}\n" for part in parts)


PAGE = Page(DOCS / "proofs.md", text)
