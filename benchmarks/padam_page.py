"""What is said of Padam in README.md, docs/padam.md and the paper's folder, written from the records."""

from __future__ import annotations

from pathlib import Path

from benchmarks import padam
from benchmarks.blocks import filled
from linnet.results import atomic_write, read_records
from papers.chen2020_padam import pictures, readme, tables
from papers.chen2020_padam.claims import MARGIN, shown
from papers.chen2020_padam.findings import REFERENCE, difference, results
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
    """The README with its row about Padam."""
    return filled(text, "padam", readme_row(finished))


def page(text: str, finished: Finished, speed: Path) -> str:
    """docs/padam.md with its tables."""
    map_words = [tables.ridge_words(finished, SCALE), tables.rule_words(finished, SCALE)]
    blocks = {
        "padam-map": [readme.as_markdown(tables.ridge_table(finished, SCALE)), *map_words],
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
    """One row of measured claims."""
    found = results(finished, SCALE)
    cells = ["Padam, p = 1/8, against SGD with momentum: difference of test accuracy, 95 % t interval"]
    pair = difference(found["padam_8"], found[REFERENCE]) if {"padam_8", REFERENCE} <= found.keys() else None
    verdict = "not run" if pair is None else pair.verdict(at_least=-MARGIN)
    cells += [shown(pair), str(pair.n if pair else 0), f'"as good" (at most {MARGIN:g} below): {verdict}']
    head = ["| learning, equal tuning budgets, Fashion-MNIST | measured | seeds | says |", "|---|---|---|---|"]
    return "\n".join([*head, f"| {' | '.join(cells)} |"])
