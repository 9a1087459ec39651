"""The study's pictures as files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from matplotlib.figure import Figure

from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.report.figures import heat_map, mixture_chart, shot_curves
from papers.page import Picture

_PICTURES: dict[str, tuple[str, str, Callable[[Findings], Figure | None]]] = {
    "matrix": ("alone", "F1 within 5 px, trained on the row and tested on the column", heat_map),
    "shots": (
        "shots",
        "F1 over the number of the target's images; a ring: level with training on all of it",
        shot_curves,
    ),
    "mixtures": ("mixture", "F1 of mixtures less F1 of the target alone", mixture_chart),
}


def drawable(found: Findings) -> dict[str, Picture]:
    """The pictures whose records are there, by the names of their files."""
    stages = {record.context["stage"] for record in found.finished.values()}
    return {
        name: Picture(caption, partial(_drawn, draw, found), dpi=100)
        for name, (stage, caption, draw) in _PICTURES.items()
        if stage in stages and "alone" in stages
    }


def _drawn(draw: Callable[[Findings], Figure | None], found: Findings) -> Figure:
    """The figure on white: a file can't follow the reader's paper."""
    figure = draw(found)
    assert figure is not None, "its records are there"
    figure.set_facecolor("white")
    return figure
