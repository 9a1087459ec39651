"""What is said of Padam in README.md, docs/padam.md and the paper's folder, written from the records."""

from __future__ import annotations

from pathlib import Path

from benchmarks import DOCS, RECORDS, ROOT
from benchmarks.padam.subject import SUBJECT
from benchmarks.page import Page
from linnet.results import read_records
from papers.chen2020_padam.report import pictures, readme, tables
from papers.chen2020_padam.report.abstract import claims
from papers.chen2020_padam.report.findings import results
from papers.chen2020_padam.scales import SCALES
from papers.page import draw as draw_into
from papers.study import finished_trials
from papers.table import Table, as_markdown

PAPER = ROOT / "papers" / "chen2020_padam"
STUDY, SPEED = PAPER / "records" / "cpu.jsonl", RECORDS / "padam.jsonl"
SCALE = SCALES["cpu"]
NO_SPEED = "No record yet: `python -m benchmarks padam --json benchmarks/records/padam.jsonl` makes one."


def docs_page(speed: Path = SPEED) -> Page:
    """docs/padam.md with its tables."""
    finished = finished_trials(STUDY)

    def shown(*parts: Table | str) -> str:
        texts = (as_markdown(part) if isinstance(part, Table) else part for part in parts)
        return "\n\n".join(text.strip() for text in texts)

    return Page(
        DOCS / "padam.md",
        parts={
            "padam-map": lambda: shown(
                tables.ridge_table(finished, SCALE),
                tables.ridge_words(finished, SCALE),
                tables.rule_table(finished, SCALE),
                tables.rule_words(finished, SCALE),
            ),
            "padam-study": lambda: shown(
                tables.claims_table(finished, SCALE),
                tables.optimizers_table(finished, SCALE),
                tables.variants_table(finished, SCALE),
            ),
            "padam-speed": lambda: SUBJECT.as_markdown(read_records(speed)).strip() if speed.is_file() else NO_SPEED,
        },
    )


def paper_page() -> Page:
    """README.md of the paper's folder."""
    return Page(PAPER / "README.md", lambda: readme.text(finished_trials(STUDY), SCALE))


def draw() -> list[Path]:
    """Writes the paper's pictures; gives their places."""
    return draw_into(pictures.drawable(finished_trials(STUDY), SCALE), PAPER)


def readme_rows() -> str:
    """The measured claims about the default p, whichever way they came out."""
    finished = finished_trials(STUDY)
    found = claims(finished, results(finished, SCALE))
    wanted = ("(1) Adam ", "(4) Padam, p = 1/8 generalizes", "(4) Padam, p = 1/8 converges")
    rows = [claim for start in wanted for claim in found if claim.claim.startswith(start)]
    head = [
        "| the paper claims | measured: Fashion-MNIST, equal tuning budgets | seeds | verdict |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *(f"| {row.claim[4:]} | {row.ours} | {row.n} | {row.verdict} |" for row in rows)])
