"""What README.md and docs/jets.md say of jets' measurements, from the records."""

from __future__ import annotations

from benchmarks import DOCS, RECORDS
from benchmarks.goal import as_markdown
from benchmarks.page import Page, provenance
from linnet.results import Record, read_records

FILE = RECORDS / "jet.jsonl"
HARDWARE = RECORDS / "jet_hardware.jsonl"
_SHORT = (
    "jet.conv.64.avx512.onnxruntime_float32", "jet.conv.128.avx512.onnxruntime_float32",
    "jet.conv.64.avx512.onnxruntime_int8", "jet.conv.64.avx2.held", "jet.net.jets", "jet.net.jets.us",
    "jet.flash.BinaryConv2d.64.tables+code", "jet.operations.16.16", "jet.operations.16.16.bit_weighted",
)  # fmt: skip


def table() -> str:
    """All rows, and how they were measured."""
    known = read_records(FILE)
    return f"{as_markdown(known)}\n\nMeasured by {provenance(known)} {_load(known)}".strip()


def readme_rows() -> str:
    """The rows of the README."""
    known = {record.name: record for record in read_records(FILE)}
    shown = [known[name] for name in _SHORT if name in known]
    return f"{as_markdown(shown)}\n\nMeasured by {provenance(shown)} {_load(shown)}".strip()


def _load(records: list[Record]) -> str:
    load = max((float(r.context["load"]) for r in records if "load" in r.context), default=0.0)
    return f"Other programs ran meanwhile: the load average was up to {load:g}." if load > 3 else ""


def hardware_table() -> str:
    """LUTs of jets beside binary convolutions."""
    known = read_records(HARDWARE)
    return f"{as_markdown(known)}\n\nMeasured by {provenance(known)}"


HARDWARE_PAGE = Page(DOCS / "howto" / "jet_verilog.md", parts={"jet-hardware-records": hardware_table})
PAGE = Page(DOCS / "jets.md", parts={"jet-records": table})
