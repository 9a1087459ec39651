"""README.md says what the records say: the tables between the markers are written from them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import pruned_picture
from benchmarks.blocks import filled, markers
from benchmarks.table import accuracy_table, cost_table, provenance
from linnet.results import atomic_write, read_records

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RECORDS = ROOT / "benchmarks" / "records" / "nuclei.jsonl"
BEGIN, END = markers("records")
CODE = re.compile(r"```python\n(?P<code>(?:(?!```).)*)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


def refresh(readme: Path = README, records: Path = RECORDS) -> bool:
    """Writes the records' tables into the README; gives whether anything changed.

    Raises:
        InputError: the records can't be read, or the README has no markers.
    """
    text = readme.read_text(encoding="utf-8")
    wanted = with_output(pruned_picture.with_table(with_records(text, records)))
    if wanted == text:
        return False
    atomic_write(readme, wanted)
    return True


def with_records(text: str, records: Path) -> str:
    """The README's text with the part between the markers made from the records."""
    known = read_records(records)
    tables = f"{accuracy_table(known)}\n\n{cost_table(known)}\n\nMeasured by {provenance(known)}"
    return filled(text, "records", tables)


def with_output(text: str) -> str:
    """The README's text with what its Python code prints, run now, in the `text` block below the code."""
    return CODE.sub(lambda block: f"```python\n{block['code']}```\n\n```text\n{printed(block['code'])}```", text)


def printed(code: str) -> str:
    """What the code prints, run in a process and a folder of its own."""
    with TemporaryDirectory() as folder:
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    return run.stdout
