"""The study as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from linnet.report import Section, figure, page, table, tiles
from linnet.report.html_page import Content
from linnet.results import atomic_write
from papers.chen2020_padam import pictures, tables
from papers.chen2020_padam.scales import Scale
from papers.study import Finished
from papers.table import Table


def write(finished: Finished, scale: Scale, path: Path) -> Path:
    """Writes the page."""
    return atomic_write(path, text(finished, scale))


def text(finished: Finished, scale: Scale) -> str:
    """The page as HTML."""
    drawn = {
        name: figure(fig, alt=words, caption=words) for name, (words, fig) in pictures.figures(finished, scale).items()
    }

    def shown(*parts: Table | str) -> list[Content]:
        body: list[Content] = []
        for part in parts:
            if isinstance(part, Table):
                body += [table(part.columns, part.rows, caption=part.caption)] if part.rows else ["Not run."]
            else:
                body += [drawn[part]] if part in drawn else []
        return body

    rule: list[Content] = [tables.ridge_words(finished, scale)]
    if scale.second is not None:
        rule += [*shown(tables.rule_table(finished, scale)), tables.rule_words(finished, scale)]
    sections = [
        Section("Claims", shown(tables.claims_table(finished, scale))),
        Section("Optimizers", shown(tables.optimizers_table(finished, scale), "final", "curves")),
        Section("Tuning", shown(tables.tuning_table(finished, scale))),
        Section("Decaying p, and the bias corrections", shown(tables.variants_table(finished, scale))),
        Section(
            "p and the learning rate", [*shown(tables.ridge_table(finished, scale), "map"), *rule, *shown("spread")]
        ),
    ]
    if "step_time" in drawn:
        sections.append(Section("Time of an update", shown("step_time")))
    first = next(iter(finished.values()))
    facts = [("Machine", first.machine), ("Commit", first.commit), ("Command", first.command)]
    lead = tiles([("scale", scale.name), ("runs", str(len(finished))), ("seeds", str(scale.seeds))])
    return page("Padam: does partial adaptivity pay?", sections, lead=lead, facts=facts)
