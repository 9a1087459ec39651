"""A progress bar for a batch, on stderr, where somebody watches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Watch:
    """Shows which image is at work, and how far it is; does nothing without a bar.

    Args:
        bar: Where it is shown.
        total: Number of images.
    """

    def __init__(self, bar: Progress | None, total: int) -> None:
        self._bar, self._name = bar, ""
        self._task = None if bar is None else bar.add_task("images", total=total)

    def __call__(self, name: str) -> None:
        """An image begins."""
        self._name = name[:40].replace("[", "\\[")  # rich takes [..] for markup
        self._show(self._name, advance=0)

    def tile(self, done: int, of: int) -> None:
        """A tile of the image is done."""
        if of > 1:
            self._show(f"{self._name} (tile {done} of {of})", advance=0)

    def image_done(self) -> None:
        """The image is done."""
        self._show(self._name, advance=1)

    def _show(self, text: str, *, advance: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=advance, description=text)


@contextmanager
def watched(total: int, *, wanted: bool) -> Iterator[Watch]:
    """A progress bar on stderr, where somebody watches."""
    if not wanted or not sys.stderr.isatty():
        yield Watch(None, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Watch(bar, total)
