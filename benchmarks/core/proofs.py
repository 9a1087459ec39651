"""docs/proofs.md: how fast and how exact `linnet.core` is, from the records."""

from __future__ import annotations

from benchmarks import DOCS, RECORDS
from benchmarks.core import zoo
from benchmarks.goal import as_markdown
from benchmarks.page import Page, measured
from linnet.results import read_records

_HEAD = """# How fast and how exact core is

`linnet.core` records networks, edits them and captures what their layers read and write. This page holds each of its
goals beside the measured figure. A time is the ratio of two runs that took turns in one process: the median of the
pairs with its bootstrap 95 % interval. A goal that is missed stays in the table, with the reason.
`python -m benchmarks readme` writes the page from the records.
"""
_TRAINED = """## Narrowed in the middle of training

A network is trained on real data, narrowed together with its optimizer, and trained on. Its masked twin, whose removed
channels are only held at 0, goes through the same training; the two must stay equal.
"""
_PROOFS = """## Every edit of the zoo

The zoo is the set of networks that the tests use. Each network is widened and narrowed at random. The figures are the
largest max |f - g| / max |f| over the outputs in eval and train mode, where g is the edited network and f is the given
network (widen) or the masked one (narrow). "Refused" means that an error named the reason before anything was built.
The peer, torch-pruning 1.6.1, is called as its documentation says, for the same channels, and its result is compared
with the same masked network.
"""


def text() -> str:
    """The page's text."""
    core, training, edits = (read_records(RECORDS / f"{name}.jsonl") for name in ("core", "core_training", "core_zoo"))
    tables = [_HEAD, as_markdown(core), measured(core), _TRAINED, as_markdown(training), measured(training)]
    parts = [*tables, _PROOFS, zoo.as_markdown(edits), measured(edits)]
    return "\n".join(f"{part}\n" for part in parts)


PAGE = Page(DOCS / "proofs.md", text)
