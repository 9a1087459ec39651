"""docs/corruptions.md: its table of rates, written from the records."""

from __future__ import annotations

from benchmarks import DOCS, RECORDS
from benchmarks.ensemble.subject import SUBJECT
from benchmarks.page import Page, provenance
from linnet.results import read_records

_RECORDS = RECORDS / "ensemble.jsonl"


def _rates() -> str:
    records = [record for record in read_records(_RECORDS) if record.name.startswith("corruptions.")]
    return f"{SUBJECT.as_markdown(records)}\n\n{provenance(records)}"


PAGE = Page(DOCS / "corruptions.md", parts={"corruption-rates": _rates})
