"""A table of a study: headings and rows of text, for the README and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Headings and rows of text; the caption is a sentence."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def as_markdown(table: Table) -> str:
    """A table with its caption above it."""
    return f"{table.caption}.\n\n{rows_as_markdown(table)}"


def rows_as_markdown(table: Table) -> str:
    """A table without its caption."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.rows]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), ""])
