"""The study as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from linnet.report import Section, figure, page, table, tiles
from linnet.report.html_page import Content
from linnet.results import atomic_write
from papers.qi2021_pruning import pictures, tables
from papers.qi2021_pruning.conclusion import ablation_words, outcome_words
from papers.qi2021_pruning.findings import Study
from papers.table import Table


def write(study: Study, path: Path) -> Path:
    """Writes the page."""
    return atomic_write(path, text(study))


def text(study: Study) -> str:
    """The page as HTML."""
    drawn = {name: figure(fig, alt=words, caption=words) for name, (words, fig) in pictures.figures(study).items()}

    def shown(*parts: Table | str) -> list[Content]:
        body: list[Content] = []
        for part in parts:
            if isinstance(part, Table):
                body += [table(part.columns, part.rows, caption=part.caption)] if part.rows else ["Not run."]
            else:
                body += [drawn[part]] if part in drawn else []
        return body

    arms = [tables.arms_table(study, name) for name in study.scale.sets]
    sections = [
        Section("Claims", [*shown(tables.claims_table(study)), outcome_words(study)]),
        Section("Arms", shown(*arms, "accuracy_ms")),
        Section("Masks over the training", shown("life")),
        Section("Ablation", [*shown(tables.ablation_table(study)), ablation_words(study)]),
        Section("Tuning", shown(tables.tuning_table(study))),
    ]
    first = next(iter(study.trainings.values()))
    facts = [("Machine", first.machine), ("Commit", first.commit), ("Command", first.command)]
    lead = tiles([("scale", study.scale.name), ("runs", str(len(study.trainings))), ("seeds", str(study.scale.seeds))])
    return page("Pruned while it trains, straight to a budget", sections, lead=lead, facts=facts)
