"""What is said of Padam in README.md, docs/padam.md and the paper's folder, written from the records."""

from __future__ import annotations

from pathlib import Path

from benchmarks import padam
from benchmarks.blocks import filled
from linnet.results import atomic_write, read_records
from papers.chen2020_padam import pictures, readme, tables
from papers.chen2020_padam.claims import claims
from papers.chen2020_padam.findings import results
from papers.chen2020_padam.scales import SCALES
from papers.study import Finished, finished_trials

ROOT = Path(__file__).parents[1]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "padam.md"
PAPER = ROOT / "papers" / "chen2020_padam"
STUDY, SPEED = PAPER / "records" / "cpu.jsonl", ROOT / "benchmarks" / "records" / "padam.jsonl"
SCALE = SCALES["cpu"]
NO_SPEED = "No record yet: `python -m benchmarks padam --json benchmarks/records/padam.jsonl` makes one."


def refresh() -> list[Path]:
    """Writes the pages and pictures; gives those that changed or were drawn."""
    finished = finished_trials(STUDY)
    wanted = {
        README: with_study(README.read_text(encoding="utf-8"), finished),
        PAGE: page(PAGE.read_text(encoding="utf-8"), finished, SPEED),
        PAPER / "README.md": readme.text(finished, SCALE),
    }
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        atomic_write(path, wanted[path])
    return [*changed, *pictures.draw(finished, SCALE, PAPER)]


def with_study(text: str, finished: Finished) -> str:
    """The README with its rows about Padam."""
    return filled(text, "padam", readme_row(finished))


def page(text: str, finished: Finished, speed: Path) -> str:
    """docs/padam.md with its tables."""
    map_words = [tables.ridge_words(finished, SCALE), readme.as_markdown(tables.rule_table(finished, SCALE))]
    blocks = {
        "padam-map": [
            readme.as_markdown(tables.ridge_table(finished, SCALE)),
            *map_words,
            tables.rule_words(finished, SCALE),
        ],
        "padam-study": [
            readme.as_markdown(tables.claims_table(finished, SCALE)),
            readme.as_markdown(tables.optimizers_table(finished, SCALE)),
            readme.as_markdown(tables.variants_table(finished, SCALE)),
        ],
        "padam-speed": [padam.as_markdown(read_records(speed)) if speed.is_file() else NO_SPEED],
    }
    for name, parts in blocks.items():
        text = filled(text, name, "\n\n".join(part.strip() for part in parts))
    return text


def readme_row(finished: Finished) -> str:
    """The measured claims about the default p, whichever way they came out."""
    found = claims(finished, results(finished, SCALE))
    wanted = ("(1) Adam ", "(4) Padam, p = 1/8 generalizes", "(4) Padam, p = 1/8 converges")
    rows = [claim for start in wanted for claim in found if claim.claim.startswith(start)]
    head = [
        "| the paper claims | measured: Fashion-MNIST, equal tuning budgets | seeds | verdict |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *(f"| {row.claim[4:]} | {row.ours} | {row.n} | {row.verdict} |" for row in rows)])
