"""The study as one self-contained HTML page."""

from __future__ import annotations

from papers.page import html_page
from papers.qi2021_pruning.report import pictures, tables
from papers.qi2021_pruning.report.conclusion import ablation_words, outcome_words
from papers.qi2021_pruning.report.findings import Study


def text(study: Study) -> str:
    """The page as HTML."""
    drawn, scale = pictures.drawable(study).get, study.scale
    sections = {
        "Claims": [tables.claims_table(study), outcome_words(study)],
        "Arms": [*(tables.arms_table(study, name) for name in scale.sets), drawn("accuracy_ms")],
        "Masks over the training": [drawn("life")],
        "Ablation": [tables.ablation_table(study), ablation_words(study)],
        "Tuning": [tables.tuning_table(study)],
    }
    lead = [("scale", scale.name), ("runs", str(len(study.trainings))), ("seeds", str(scale.seeds))]
    return html_page("Pruned while it trains, straight to a budget", sections, study.trainings, lead=lead)
