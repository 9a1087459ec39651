"""The study as one self-contained HTML page."""

from __future__ import annotations

from papers.chen2020_padam.report import pictures, tables
from papers.chen2020_padam.scales import Scale
from papers.page import Part, html_page
from papers.study import Finished


def text(finished: Finished, scale: Scale) -> str:
    """The page as HTML."""
    drawn = pictures.drawable(finished, scale).get
    rule: list[Part] = [tables.ridge_words(finished, scale)]
    if scale.second is not None:
        rule += [tables.rule_table(finished, scale), tables.rule_words(finished, scale)]
    sections: dict[str, list[Part]] = {
        "Claims": [tables.claims_table(finished, scale)],
        "Optimizers": [tables.optimizers_table(finished, scale), drawn("final"), drawn("curves")],
        "Tuning": [tables.tuning_table(finished, scale)],
        "Decaying p, and the bias corrections": [tables.variants_table(finished, scale)],
        "p and the learning rate": [tables.ridge_table(finished, scale), drawn("map"), *rule, drawn("spread")],
    }
    if (times := drawn("step_time")) is not None:
        sections["Time of an update"] = [times]
    lead = [("scale", scale.name), ("runs", str(len(finished))), ("seeds", str(scale.seeds))]
    return html_page("Padam: does partial adaptivity pay?", sections, finished, lead=lead)
