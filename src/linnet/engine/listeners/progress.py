"""Progress: a bar with epoch, loss, metric and time left on a terminal, or one log line for each epoch elsewhere."""

import logging
import sys
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from linnet.engine.events import Epoch, Listener, Run
from linnet.errors import InputError

_log = logging.getLogger(__name__)

_METRICS = 2  # of a batch, beside its loss: more would wrap a narrow terminal

Style = Literal["auto", "bar", "log", "off"]


def progress_listeners(style: Style, *, rank: int = 0) -> list[Listener]:
    """The listeners that show how far a run is.

    Args:
        style: "bar", "log" or "off"; "auto" is "bar" when standard error is a terminal, else "log".
        rank: Of this process; only rank 0 shows.

    Raises:
        InputError: `style` is none of these.
    """
    if style not in ("auto", "bar", "log", "off"):
        raise InputError(f'`progress` must be one of "auto", "bar", "log", "off" (got {style!r}).')
    if style == "auto":
        style = "bar" if sys.stderr.isatty() else "log"
    if rank or style == "off":
        return []
    return [ProgressBar()] if style == "bar" else [EpochLog()]


class EpochLog(Listener):
    """Logs one line for each epoch, at level INFO."""

    def on_start(self, run: Run) -> None:
        """Tells where a resumed run goes on."""
        if run.step:
            _log.info("%s", resumed_line(run))

    def on_epoch(self, run: Run) -> None:
        """Logs the epoch that ended."""
        _log.info("%s", epoch_line(run.history[-1], epochs=run.epochs))


class ProgressBar(Listener):
    """A bar over the whole run on standard error, and one line above it for each epoch that ended.

    Args:
        console: Where to draw; standard error if not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=console or Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", start=False)

    def on_start(self, run: Run) -> None:
        """Begins to draw, at the step a resumed run is at."""
        self._bar.update(self._task, total=run.steps_total, completed=run.step, description=_now(run))
        self._bar.start_task(self._task)
        self._bar.start()
        if run.step:
            self._bar.console.print(resumed_line(run), highlight=False, markup=False)

    def on_step(self, run: Run) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=run.step, description=_now(run))

    def on_epoch(self, run: Run) -> None:
        """Writes the epoch's line above the bar."""
        self._bar.console.print(epoch_line(run.history[-1], epochs=run.epochs), highlight=False, markup=False)

    def on_end(self, run: Run) -> None:
        """Takes the bar away."""
        self._bar.stop()


def resumed_line(run: Run) -> str:
    """Where a resumed run is, in one line: "going on from step 120 of 400"."""
    return f"going on from step {run.step} of {run.steps_total}"


def epoch_line(epoch: Epoch, *, epochs: int) -> str:
    """An epoch in one line: "epoch 3/10  loss 0.412  accuracy 0.91  val f1 0.88  lr 0.05"."""
    parts = [f"epoch {epoch.epoch + 1}/{epochs}", f"loss {epoch.loss:.4g}"]
    parts += [f"{name} {value:.4g}" for name, value in epoch.metrics.items()]
    parts += [f"val {name} {value:.4g}" for name, value in epoch.validation.items()]
    return "  ".join([*parts, f"lr {epoch.lr:.3g}"])


def _now(run: Run) -> str:
    """What the bar says: epoch under way, last loss, the batch's metrics, the first metric of the last validation."""
    parts = [f"epoch {min(run.epoch + 1, run.epochs)}/{run.epochs}", f"loss {run.loss:.4g}"]
    validation = list(run.history[-1].validation.items())[:1] if run.history else []
    shown = [*list(run.metrics.items())[:_METRICS], *((f"val {name}", value) for name, value in validation)]
    return "  ".join([*parts, *(f"{name} {value:.3g}" for name, value in shown)])
