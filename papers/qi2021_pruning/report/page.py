"""The study as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from papers.page import html_page
from papers.qi2021_pruning.report import pictures, tables
from papers.qi2021_pruning.report.conclusion import ablation_words, outcome_words
from papers.qi2021_pruning.report.findings import Study
from papers.qi2021_pruning.report.headline import table


def text(study: Study | None, headlines: Sequence[Study] = ()) -> str:
    """The study, and the headline where it was run, as HTML."""
    title = "Pruned while it trains, straight to a budget"
    shown = {f"Headline: scale {one.scale.name}": [table(one)] for one in headlines}
    if study is None:
        return html_page(title, shown, headlines[0].trainings, lead=[("headline", headlines[0].scale.name)])
    drawn, scale = pictures.drawable(study).get, study.scale
    sections = {
        **shown,
        "Claims": [tables.claims_table(study, headlines), outcome_words(study)],
        "Arms": [*(tables.arms_table(study, name) for name in scale.sets), drawn("accuracy_ms")],
        "Masks over the training": [drawn("life")],
        "Ablation": [tables.ablation_table(study), ablation_words(study)],
        "Tuning": [tables.tuning_table(study)],
    }
    lead = [("scale", scale.name), ("runs", str(len(study.trainings))), ("seeds", str(scale.seeds))]
    return html_page(title, sections, study.trainings, lead=lead)
