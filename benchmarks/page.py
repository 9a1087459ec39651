"""Pages that are written from records: whole ones, and the marked parts of pages that are otherwise written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from linnet.errors import InputError
from linnet.results import Record, atomic_write

Text = Callable[[], str]


@dataclass(frozen=True)
class Page:
    """A file that says what records say.

    Attributes:
        path: Its place.
        whole: Gives the whole text; None: the text that is there stays, but for its parts.
        parts: Gives what stands between the comments of a name.
        finish: Changes the text at the end.
    """

    path: Path
    whole: Text | None = None
    parts: Mapping[str, Text] = field(default_factory=dict)
    finish: Callable[[str], str] = str

    def text(self) -> str:
        """What the page must say.

        Raises:
            InputError: the records can't be read, or the page has no such part.
        """
        text = self.current() if self.whole is None else self.whole()
        for name, part in self.parts.items():
            text = filled(text, name, part())
        return self.finish(text)

    def current(self) -> str:
        """What it says."""
        return self.path.read_text(encoding="utf-8")

    def refresh(self) -> bool:
        """Writes the page; gives whether anything changed."""
        wanted = self.text()
        if self.path.exists() and self.current() == wanted:
            return False
        atomic_write(self.path, wanted)
        return True


def markers(name: str) -> tuple[str, str]:
    """The comments before and behind a part."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def filled(text: str, name: str, content: str) -> str:
    """The page with the content of one part replaced.

    Args:
        text: The page.
        name: Of the part.
        content: Markdown, without the comments.

    Raises:
        InputError: the page has no such part.
    """
    begin, end = markers(name)
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise InputError(f"The page has no part between `{begin}` and `{end}`. Put both lines where the table belongs.")
    return f"{head}{begin}\n{content}\n{end}{tail}"


def provenance(records: Sequence[Record]) -> str:
    """One line on records of one run: what to type, on which commit, when, on what."""
    first = records[0]
    versions = ", ".join(
        f"{name} {first.versions[name]}" for name in ("torch", "scipy", "scikit-image") if name in first.versions
    )
    return f"`{first.command}`; commit {first.commit}, {first.time[:10]}, {first.machine}; {versions}."


def measured(records: Sequence[Record]) -> str:
    """A paragraph on records of several runs: how, when and on what they were made."""
    made = dict.fromkeys(f"`{r.command}`, commit {r.commit}, {r.time[:10]}, {r.machine}" for r in records)
    load = max((float(r.context["load"]) for r in records if "load" in r.context), default=0)
    beside = f" Other programs ran meanwhile: the load average was up to {load:g}." if load > 3 else ""
    return f"\nMeasured by {'; '.join(made)}; torch {records[0].versions['torch']}.{beside}"
