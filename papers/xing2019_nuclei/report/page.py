"""The study as one self-contained HTML page."""

from __future__ import annotations

from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.report.page import all_tables, rule_lines
from papers.page import Part, html_page
from papers.table import Table
from papers.verdict import table_of_claims
from papers.xing2019_nuclei.report.claims import NEEDED, claims
from papers.xing2019_nuclei.report.left_out import left_out
from papers.xing2019_nuclei.report.pictures import drawable
from papers.xing2019_nuclei.report.readme import DIFFERS

_PICTURES = {"Train on A, test on B": "matrix", "Few images of the target": "shots", "Mixtures": "mixtures"}


def text(found: Findings, scale: str) -> str:
    """The page."""
    pictures = drawable(found)
    sections: dict[str, list[Part]] = {
        "Verdicts": [
            table_of_claims(f"Fewer than {NEEDED} seeds decide nothing", claims(found)),
            DIFFERS,
            left_out(found),
        ],
        "A rule for users": list(rule_lines(found)),
    }
    for title, shown in all_tables(found).items():
        tables: list[Part] = [Table(each.caption, each.columns, each.rows) for each in shown]
        sections[title] = [pictures.get(_PICTURES.get(title, "")), *tables]
    lead = [("scale", scale), ("groups", str(len(found.groups))), ("trainings", str(len(found.finished)))]
    return html_page("Which training images a nucleus detector needs", sections, found.finished, lead=lead)
