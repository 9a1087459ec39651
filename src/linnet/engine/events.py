"""The five events of a training run, and the Run that they show."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

from linnet.engine.compute.device import Compute


@dataclass(frozen=True)
class Epoch:
    """The result of one pass over the data.

    Attributes:
        epoch: Its index, from 0.
        step: Updates done when it ended.
        loss: Mean of the batches' losses.
        lr: Learning rate of its last update (first parameter group).
        metrics: Means of the task's batch metrics.
        validation: What `Task.validate` gave after it.
    """

    epoch: int
    step: int
    loss: float
    lr: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The epoch as plain values."""
        return asdict(self)


@dataclass
class Run:
    """A training run as it stands; listeners read it and may ask it to stop.

    Attributes:
        model: The bare network (never the DDP wrapper).
        optimizer: The optimizer; its learning rates are set before each update.
        compute: Device and precision.
        epochs: Epochs to do.
        epoch_steps: Batches in an epoch.
        rank: Of this process, 0 unless under `torchrun`. Rank 0 writes.
        epoch: Index of the epoch under way; in `on_epoch`, of the one to come.
        batch: Index in the epoch of the batch under way; after the update, of the one to come.
        step: Updates done; in `on_gradients`, the index of the one under way.
        loss: Of the last batch, mean over the processes.
        metrics: Of the last batch, likewise.
        skipped: The last update wasn't made, because float16 gradients overflowed.
        history: The epochs that have ended.
        stopped_because: Why the run ends; None while it goes on.
        task: Loss and validation. A listener may put another network into `model` and a task for it here, in `on_step`;
            the optimizer must then hold that network's parameters, in as many groups.
    """

    model: nn.Module
    optimizer: Optimizer
    compute: Compute
    epochs: int
    epoch_steps: int
    rank: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = math.nan
    metrics: dict[str, float] = field(default_factory=dict)
    skipped: bool = False
    history: list[Epoch] = field(default_factory=list)
    stopped_because: str | None = None
    task: Any = None

    @property
    def steps_total(self) -> int:
        """Updates in the whole run."""
        return self.epochs * self.epoch_steps

    def stop(self, reason: str) -> None:
        """Ends the run after the update (or epoch) under way; a checkpoint is kept. The first reason given stays.

        Args:
            reason: Why, in words; becomes `FitResult.stopped_because`.
        """
        self.stopped_because = self.stopped_because or reason


class Listener:
    """Hears five events of a run; override those of interest.

    Order: start, (gradients, step) for each batch, epoch after each pass and its validation, end. `on_end` comes
    whenever `on_start` came, also after an error or an interrupt: the place to take hooks off.

    Example:
        >>> class StopWhenGood(Listener):
        ...     def on_epoch(self, run):
        ...         if run.history[-1].validation["accuracy"] > 0.99:
        ...             run.stop("accuracy is above 0.99")
    """

    def on_start(self, run: Run) -> None:
        """Before the first batch, after a checkpoint (if any) was loaded."""

    def on_gradients(self, run: Run) -> None:
        """Gradients are complete: averaged over processes, unscaled, not yet clipped; the update comes next."""

    def on_step(self, run: Run) -> None:
        """An update is done (or skipped: `run.skipped`)."""

    def on_epoch(self, run: Run) -> None:
        """An epoch and its validation are done; `run.history[-1]` tells about it."""

    def on_end(self, run: Run) -> None:
        """The run is over, for whatever reason."""

    def state_dict(self) -> dict[str, Any]:
        """What must be in a checkpoint for an exact resume: tensors and plain values, nested at will."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave; called before `on_start` when a run is resumed."""

    def take_up(self, run: Run, state: dict[str, Any]) -> None:
        """Called with the run and what `state_dict` gave when a run is resumed, before its weights are read.

        It calls `load_state_dict`. A listener that puts another network into `run.model` does so here too.
        """
        self.load_state_dict(state)
