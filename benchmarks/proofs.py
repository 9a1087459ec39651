"""docs/proofs.md: what core reaches and how every zoo network fares, from the records."""

from __future__ import annotations

from pathlib import Path

from benchmarks import core_zoo
from benchmarks.goal import as_markdown
from linnet.results import Record, read_records

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "proofs.md"
CORE, ZOO = (ROOT / "benchmarks" / "records" / name for name in ("core.jsonl", "core_zoo.jsonl"))

_HEAD = """# What core reaches

This page is written by `python -m benchmarks readme` from the records. Times are ratios of pairs that ran in turns in
one process, with the bootstrap 95 % interval of their median. A goal that is missed stays in the table, with the
reason.
"""
_PROOFS = """## Every edit of the zoo

Each network is widened and narrowed at random; the figures are the largest max |f - g| / max |f| over the outputs, in
eval and train mode, against the given network (widen) and against the masked one (narrow). "Refused" edits were refused
by name before anything was built. The peer, torch-pruning 1.6.1, gets its documented call and the same channels; what
it makes is compared with the same masked network.
"""


def page() -> str:
    """The page's text."""
    core, zoo = read_records(CORE), read_records(ZOO)
    parts = [_HEAD, as_markdown(core), _measured(core), _PROOFS, core_zoo.as_markdown(zoo), _measured(zoo)]
    return "\n".join(f"{part}\n" for part in parts)


def _measured(records: list[Record]) -> str:
    first = records[0]
    return (
        f"\nMeasured by `{first.command}`; commit {first.commit}, {first.time[:10]}, {first.machine}; "
        f"torch {first.versions['torch']}."
    )
