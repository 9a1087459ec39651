"""The study as one self-contained HTML page."""

from __future__ import annotations

from papers.page import Part, html_page
from papers.simons2021_jets.report import pictures, tables
from papers.simons2021_jets.report.findings import Study


def text(study: Study) -> str:
    """The page as HTML."""
    sections: dict[str, list[Part]] = {
        "Claims": [tables.claims(study)],
        "Accuracy": [tables.accuracies(study), *pictures.drawable(study).values()],
        "Equal LUTs": [tables.equal_area(study)],
        "Kernels": [tables.kernel_table(study)],
    }
    lead = [("scale", study.scale.name), ("trainings", str(len(study.finished)))]
    return html_page("Jets beside binarized convolution", sections, study.finished, lead=lead)
