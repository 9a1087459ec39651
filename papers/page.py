"""The README, the pictures and the self-contained HTML page of a study, written from its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from linnet.report import Section, figure, page, table, tiles
from linnet.report.figures import drawing
from linnet.report.html_page import Content
from linnet.report.marks import GRID
from linnet.results import atomic_write
from papers.study import Finished
from papers.table import Table, as_markdown

NOT_RUN = "Not run."


@dataclass(frozen=True)
class Picture:
    """A picture that can be drawn.

    Attributes:
        caption: What it shows.
        draw: Draws it.
        dpi: Pixels of an inch as a file.
    """

    caption: str
    draw: Callable[[], Figure]
    dpi: int = 110


Pictures = Mapping[str, Picture]
"""Pictures by the names of their files."""
Part = Table | Picture | str | None
"""A part of a section; None where a picture can't be drawn."""


def draw(pictures: Pictures, folder: Path) -> list[Path]:
    """Writes pictures into `folder/pictures` as PNG files."""
    place = folder / "pictures"
    place.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, picture in pictures.items():
        drawn = picture.draw()
        FigureCanvasAgg(drawn)
        paths.append(place / f"{name}.png")
        drawn.savefig(paths[-1], dpi=picture.dpi, metadata={"Software": None})
    return paths


def bare(*axes: Axes) -> None:
    """Takes the upper and the right spine away and draws a quiet grid."""
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(visible=True, **GRID)


def section(title: str, *parts: Table | str) -> str:
    """A part of the README."""
    texts = (part if isinstance(part, str) else as_markdown(part) if part.rows else f"{NOT_RUN}\n" for part in parts)
    return "\n".join([f"## {title}\n", *texts])


def picture_section(pictures: Pictures) -> str:
    """The README's pictures with their captions; nothing without any."""
    shown = [f"![{p.caption}](pictures/{name}.png)\n*{p.caption}.*\n" for name, p in pictures.items()]
    return section("Pictures", *shown) if shown else ""


def not_run_section(rows: Sequence[tuple[str, str]]) -> str:
    """What was not run, and why; nothing where all was."""
    lines = [f"| {what} | {state} |" for what, state in rows]
    return "\n".join(["## What was not run\n", "| what | state |", "|---|---|", *lines, ""]) if rows else ""


def provenance(finished: Finished, versions: Sequence[str] = ("python", "torch"), *, dated: bool = True) -> str:
    """The last line of the README: what the records were made on and with."""
    records = list(finished.values())
    first = records[0]
    parts = [f"Measured on {first.machine}"]
    parts.append(", ".join(f"{name} {first.versions[name]}" for name in versions if name in first.versions))
    parts.append(f"commit {', '.join(sorted({record.commit for record in records if record.commit}))}")
    if dated:
        parts.append(" to ".join(sorted({record.time[:10] for record in records if record.time})))
    return "; ".join(parts) + ".\n"


def write(folder: Path, readme: str, pictures: Pictures, html: str) -> list[str]:
    """Writes a study's README, pictures and page into a folder; gives two lines that say where they are."""
    draw(pictures, folder)
    return [
        f"The table is in {atomic_write(folder / 'README.md', readme)}",
        f"Next: open {atomic_write(folder / 'report.html', html)} in a browser.",
    ]


def html_page(
    title: str, sections: Mapping[str, Sequence[Part]], finished: Finished, *, lead: Sequence[tuple[str, str]]
) -> str:
    """The study as one self-contained HTML page.

    Args:
        title: Of the page.
        sections: The parts of each section, by its title.
        finished: All records; the first one's machine, commit and command stand at the foot.
        lead: What the page begins with: short facts with their values.
    """
    shown = [Section(name, [_content(part) for part in parts if part is not None]) for name, parts in sections.items()]
    first = next(iter(finished.values()))
    facts = [("Machine", first.machine), ("Commit", first.commit), ("Command", first.command)]
    return page(title, shown, lead=tiles(lead), facts=facts)


def _content(part: Table | Picture | str) -> Content:
    if isinstance(part, Table):
        return table(part.columns, part.rows, caption=part.caption) if part.rows else NOT_RUN
    if isinstance(part, str):
        return part
    with drawing():  # its text takes the page's colour, light or dark
        return figure(part.draw(), alt=part.caption, caption=part.caption)
