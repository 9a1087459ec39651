"""Measurements side by side with others: `python -m benchmarks SUBJECT [--quick] [--json FILE]`."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS, RECORDS = ROOT / "docs", ROOT / "benchmarks" / "records"
