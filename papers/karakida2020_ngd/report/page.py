"""The study as one self-contained HTML page."""

from __future__ import annotations

from papers.karakida2020_ngd.report import pictures
from papers.karakida2020_ngd.report.abstract import claims, details
from papers.page import Part, html_page
from papers.study import Finished


def text(finished: Finished) -> str:
    """The page as HTML."""
    sections: dict[str, list[Part]] = {"Claims": [claims(finished)]}
    sections["Measured points on predicted lines"] = [*pictures.drawable(finished).values()]
    sections |= {table.caption: [table] for table in details(finished)}
    first = next(iter(finished.values()))
    lead = [("scale", str(first.context["scale"])), ("trials", str(len(finished)))]
    return html_page("Why all of them converge alike", sections, finished, lead=lead)
