"""What a verification ran, and where two backends first differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linnet.errors import MismatchError
from linnet.jet.integer.nodes import Node


@dataclass(frozen=True)
class Ran:
    """One backend in one build, on all frames.

    Attributes:
        backend: "numpy", "c", ...
        build: Compiler options and path, or "".
        values: Numbers compared.
        wall_s: Seconds of building and running.
        version: Of the tool.
        files_sha256: Of the files that were run; "" where there are none.
    """

    backend: str
    build: str
    values: int
    wall_s: float
    version: str
    files_sha256: str = ""


@dataclass(frozen=True)
class Verification:
    """The record of one verification; there is one only if nothing differed.

    Attributes:
        program_hash: Of the program.
        frames: How many.
        ran: Backends and builds.
        skipped: What didn't run -> why.
    """

    program_hash: str
    frames: int
    ran: tuple[Ran, ...]
    skipped: dict[str, str]

    @property
    def values(self) -> int:
        """Numbers compared in all."""
        return sum(run.values for run in self.ran)

    def __str__(self) -> str:
        lines = [
            f"{self.frames:,} frames, {self.values:,} values compared, none differs (program {self.program_hash[:16]})"
        ]
        lines += [
            f"  equal    {run.backend:6} {run.build:34} {run.values:>14,} values  {run.wall_s:6.1f} s  {run.version}"
            for run in self.ran
        ]
        return "\n".join([*lines, *(f"  not run  {name}: {why}" for name, why in self.skipped.items())])


def require_equal(where: str, node: Node, expected: np.ndarray, found: np.ndarray, first_frame: int = 0) -> int:
    """How many values were compared.

    Args:
        where: The backend and its build, for the error.
        node: The layer.
        expected: (N, *node shape).
        found: Likewise.
        first_frame: Number of the first frame.

    Raises:
        MismatchError: they differ; the first place is named with both values.
    """
    if expected.shape != found.shape:
        raise MismatchError(
            f"{where}: `{node.name}` gives the size {found.shape}; the reference gives {expected.shape}."
        )
    if not np.array_equal(expected, found):
        raise MismatchError(f"{where}: {located(node, expected, found, first_frame)}")
    return expected.size


def located(node: Node, expected: np.ndarray, found: np.ndarray, first_frame: int = 0) -> str:
    """The first place in which two arrays differ, and both values."""
    differ = expected != found
    place = tuple(int(k) for k in np.argwhere(differ)[0])
    words = [f"frame {place[0] + first_frame}"]
    words += _axes(place[1:])
    return (
        f"`{node.name}` at {', '.join(words)} is {int(found[place])}; the reference has {int(expected[place])}. "
        f"{int(differ.sum()):,} of {differ.size:,} values differ."
    )


def _axes(place: Sequence[int]) -> list[str]:
    if len(place) == 3:
        return [f"y {place[1]}", f"x {place[2]}", f"channel {place[0]}"]
    return [f"feature {place[0]}"]
