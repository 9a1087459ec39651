"""README.md says what the records say: the tables between the markers and the output of its code."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import RECORDS, ROOT
from benchmarks.jet.page import readme_rows as jet_rows
from benchmarks.nuclei.tables import accuracy_table, cost_table
from benchmarks.padam.page import readme_rows
from benchmarks.page import Page, provenance
from benchmarks.process import python
from benchmarks.prune import picture
from linnet.results import read_records

CODE = re.compile(r"```python\n(?P<code>(?:(?!```).)*)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


def page(readme: Path = ROOT / "README.md", records: Path = RECORDS / "nuclei.jsonl") -> Page:
    """The README with the parts that are made from records.

    Args:
        readme: Its file.
        records: Of the subject nuclei.
    """
    parts = {
        "records": lambda: nuclei_tables(records),
        "prune": picture.table,
        "padam": readme_rows,
        "jet": jet_rows,
    }
    return Page(readme, parts=parts, finish=with_output)


def nuclei_tables(records: Path) -> str:
    """How well nuclei are found, what it costs, and how it was measured."""
    known = read_records(records)
    made = " ".join(dict.fromkeys(provenance([record]) for record in known))  # parts are measured in several runs
    return f"{accuracy_table(known)}\n\n{cost_table(known)}\n\nMeasured by {made}"


def with_output(text: str) -> str:
    """The README's text with what its Python code prints, run now, in the `text` block below the code."""
    return CODE.sub(lambda block: f"```python\n{block['code']}```\n\n```text\n{printed(block['code'])}```", text)


def printed(code: str) -> str:
    """What the code prints, run in a process and a folder of its own."""
    with TemporaryDirectory() as folder:
        return python("-c", code, folder=Path(folder))
