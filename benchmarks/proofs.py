"""docs/proofs.md: what core reaches and how every zoo network fares, from the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import core_zoo
from benchmarks.goal import as_markdown
from linnet.results import Record, read_records

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "proofs.md"
CORE, TRAINING, ZOO = (
    ROOT / "benchmarks" / "records" / f"{name}.jsonl" for name in ("core", "core_training", "core_zoo")
)

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


def page() -> str:
    """The page's text."""
    core, training, zoo = (read_records(file) for file in (CORE, TRAINING, ZOO))
    tables = [_HEAD, as_markdown(core), measured(core), _TRAINED, as_markdown(training), measured(training)]
    parts = [*tables, _PROOFS, core_zoo.as_markdown(zoo), measured(zoo)]
    return "\n".join(f"{part}\n" for part in parts)


def measured(records: Sequence[Record]) -> str:
    """How, when and on what the records were made."""
    made = dict.fromkeys(f"`{r.command}`, commit {r.commit}, {r.time[:10]}, {r.machine}" for r in records)
    loads = [float(r.context["load"]) for r in records if "load" in r.context]
    beside = (
        f" Other programs ran meanwhile: the load average was up to {max(loads):g}."
        if max(loads, default=0) > 3
        else ""
    )
    return f"\nMeasured by {'; '.join(made)}; torch {records[0].versions['torch']}.{beside}"
