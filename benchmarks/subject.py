"""A subject of the benchmarks: its parts, and how its records are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks import goal
from linnet.results import Record


class Part(Protocol):
    """Measures one part of a subject; `quick` asks for small sizes and few repetitions: does it run?"""

    def __call__(self, *, quick: bool) -> list[Record]:
        """Its records."""
        ...


@dataclass(frozen=True)
class Subject:
    """What `python -m benchmarks NAME` measures.

    Attributes:
        parts: What is measured, by the name that `--only` takes, in order.
        as_markdown: Shows the records.
    """

    parts: Mapping[str, Part]
    as_markdown: Callable[[Sequence[Record]], str] = goal.as_markdown

    def measure(self, *, quick: bool, only: str | None = None) -> list[Record]:
        """All records of the subject, or of one part.

        Args:
            quick: Small sizes and few repetitions: does it run? The numbers are no claim.
            only: One of `parts`; None for all.
        """
        return [record for name, part in self.parts.items() if only in (None, name) for record in part(quick=quick)]
