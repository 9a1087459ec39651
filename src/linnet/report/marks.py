"""Marks: colour, sign and line of each method, told apart by everyone and in gray print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linnet.report.figures import SERIES_COLORS

GRID = {"color": "#808080", "alpha": 0.25, "linewidth": 0.6}


@dataclass(frozen=True)
class Mark:
    """How a method is drawn.

    Attributes:
        color: A mid tone.
        sign: Marker of matplotlib.
        line: Line style of matplotlib.
        filled: Whether its signs and bars are.
    """

    color: str
    sign: str
    line: str
    filled: bool


def marks_of(methods: Sequence[str]) -> dict[str, Mark]:
    """A mark for each method: "dense" is hollow and dashed, the others filled.

    Args:
        methods: Names, in any order; equal names in two charts have equal marks if their lists are equal.
    """
    lines = ("-", "-.", ":")
    signs, found = "sD^vPX", {}
    own = [method for method in methods if method != "dense"]
    for number, method in enumerate(own):
        color = (SERIES_COLORS[0], *SERIES_COLORS[2:])[number % (len(SERIES_COLORS) - 1)]
        found[method] = Mark(color, signs[number % len(signs)], lines[number % len(lines)], filled=True)
    if "dense" in methods:
        found["dense"] = Mark(SERIES_COLORS[1], "o", "--", filled=False)
    return found


def words(text: str, *, most: int = 34) -> str:
    """A name as a chart shows it: cut in front when it is long, nothing of it taken for a formula."""
    cut = text if len(text) <= most else f"...{text[-(most - 3) :]}"
    return cut.replace("\\", "/").replace("$", r"\$")
