"""The study's pictures as files."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure

from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.report.figures import heat_map, mixture_chart, shot_curves
from papers.page import Picture


def drawable(found: Findings) -> dict[str, Picture]:
    """The pictures whose records are there, by the names of their files."""
    drawn = {
        "matrix": ("F1 within 5 px, trained on the row and tested on the column", heat_map(found)),
        "shots": (
            "F1 over the number of the target's images; a ring: level with training on all of it",
            shot_curves(found),
        ),
        "mixtures": ("F1 of mixtures less F1 of the target alone", mixture_chart(found)),
    }
    return {
        name: Picture(caption, partial(_drawn, figure), dpi=100)
        for name, (caption, figure) in drawn.items()
        if figure is not None
    }


def _drawn(figure: Figure) -> Figure:
    """The figure on white, with the page's ink in black: a file can't follow the reader's paper."""
    figure.set_facecolor("white")
    return figure
