"""The study as one HTML page."""

from __future__ import annotations

from papers.page import html_page
from papers.study import Finished
from papers.xia2021_hatch.report import pictures, tables
from papers.xia2021_hatch.scales import Scale


def text(finished: Finished, scale: Scale) -> str:
    """The whole page."""
    drawn = pictures.drawable(finished, scale)
    sections = {
        "Verdict": [tables.first_line(finished, scale)],
        "Claims": [tables.claims(finished, scale)],
        **{
            name: [tables.results(finished, scale, name), tables.differences(finished, scale, name), drawn[name]]
            for name in tables.sets_of(finished, scale)
        },
        "Dials": [tables.dials(finished, scale)],
    }
    lead = [("Records", str(len(finished))), ("Scale", scale.name)]
    return html_page("HatchEnsemble at equal compute", sections, finished, lead=lead)
