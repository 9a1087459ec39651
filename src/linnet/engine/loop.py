"""fit: the training loop of linnet, the only one."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from linnet.engine.checkpoint.checkpoints import Checkpoints
from linnet.engine.checkpoint.identity import identity_of
from linnet.engine.checkpoint.interrupt import Interrupts
from linnet.engine.checkpoint.keeper import Keeper
from linnet.engine.checkpoint.state import Means, State
from linnet.engine.compute.device import Compute
from linnet.engine.compute.distributed import Ranks
from linnet.engine.compute.random_state import kept_random_state
from linnet.engine.events import Epoch, Listener, Run
from linnet.engine.listeners.average import Average, RunningAverage, state_of
from linnet.engine.listeners.early_stop import Best, EarlyStop, Watch
from linnet.engine.listeners.progress import Style, progress_listeners
from linnet.engine.listeners.schedule import Schedule, learning_rates, set_learning_rates
from linnet.engine.loader import Loader, as_loader
from linnet.engine.task import Task
from linnet.engine.update import Update, parameters_of
from linnet.errors import InputError, TrainingError
from linnet.option_values import UNSET, option_value


@dataclass(frozen=True)
class FitResult:
    """The result of a training run.

    Attributes:
        model: The network given to `fit`, trained, in eval mode.
        history: One `Epoch` for each pass, also those before a resume.
        steps: Updates done.
        epochs: Epochs done.
        stopped_because: "all epochs are done", or why it ended before.
        best: The best epoch, if early stop watched for it.
        averaged: State dict of averaged weights, if `average` was given (with early stop: the best epoch's).
    """

    model: nn.Module
    history: tuple[Epoch, ...]
    steps: int
    epochs: int
    stopped_because: str
    best: Best | None = None
    averaged: dict[str, Tensor] | None = None


def fit(
    model: nn.Module,
    task: Task,
    loader: Loader | Any,
    *,
    optimizer: Optimizer,
    epochs: int,
    schedule: Schedule | None = None,
    compute: Compute | None = None,
    listeners: Sequence[Listener] = (),
    checkpoints: Checkpoints | None = None,
    folder: str | os.PathLike[str] | None = UNSET,
    checkpoint_every: int | None = UNSET,
    keep: int = UNSET,
    grad_clip: float | None = None,
    early_stop: EarlyStop | None = None,
    resume: bool = UNSET,
    progress: Style = "auto",
    rng_seed: int = 0,
    average: Average | None = None,
    alone: bool = False,
) -> FitResult:
    """Trains a network.

    With a folder, the run is safe: killed at any moment and started again by the same call, it goes on from its last
    checkpoint and ends with the same bits as if it had never been killed (same machine, same number of threads and
    processes). Ctrl-C saves a checkpoint first. Under `torchrun` the gradients of all processes are averaged, and each
    gets its part of every batch.

    Args:
        model: Any network; it is moved to the device and trained in place.
        task: Loss and validation.
        loader: A `Loader`, a torch DataLoader, or any iterable with `len()` that gives batches.
        optimizer: Over parameters of `model`. Its learning rates are those that the schedule multiplies, and stand in
            it again afterwards.
        epochs: Passes over the loader, counted from the very first start. More than before prolongs a finished run.
        schedule: Of the learning rate; constant if None.
        compute: Device and precision; `Compute.pick()` if None.
        listeners: Told of start, gradients, step, epoch and end.
        checkpoints: Where checkpoints are kept, how often they are made and how many stay; None: the defaults of
            `Checkpoints`, which makes none.
        folder: This and the next two, and `resume`, are the fields of `checkpoints` as keywords: where checkpoints are
            kept (None: nowhere).
        checkpoint_every: Updates between checkpoints, its field `every` (None: after each epoch).
        keep: Newest checkpoints that stay (2).
        grad_clip: Largest norm of all gradients together.
        early_stop: Ends the run when a validation metric ceases to improve.
        resume: Go on from the folder's last checkpoint (True). False starts anew and removes the checkpoints in it.
        progress: "auto" (a bar on a terminal, else a log line for each epoch), "bar", "log" or "off".
        rng_seed: Of dropout and the like, and of a plain iterable's shuffling. (A `Loader` has its own.)
        average: Keep an average of the weights, and validate with it.
        alone: Train this process's network by itself, also under `torchrun`: the processes train different ones.

    Returns:
        The trained network and how it went.

    Raises:
        InputError: an argument can't be used, or a keyword disagrees with `checkpoints`; it is named.
        TrainingError: optimizer, loader and network don't belong together, or a loss or metric isn't a scalar.
        NonFiniteLoss: the loss became NaN or infinite; epoch and batch are named. The weights are those before that
            batch, and the folder holds the last good checkpoint.
        CheckpointError: the folder's checkpoints are damaged or another run's, or a checkpoint can't be written.
        KeyboardInterrupt: Ctrl-C; a checkpoint was saved and the message tells how to go on.

    Example:
        >>> result = fit(
        ...     model, task, DataLoader(images, 64, shuffle=True),
        ...     optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        ...     epochs=10, schedule=Schedule("cosine", warmup_steps=100), folder="runs/digits",
        ... )  # doctest: +SKIP
    """
    checkpoints = option_value(
        "checkpoints",
        checkpoints,
        Checkpoints(),
        renamed={"checkpoint_every": "every"},
        folder=folder,
        checkpoint_every=checkpoint_every,
        keep=keep,
        resume=resume,
    )
    compute = compute or Compute.pick()
    ranks = Ranks() if alone else Ranks.join(compute)
    loader = as_loader(loader, rng_seed=rng_seed)
    _require_fitting(model, loader, optimizer, epochs=epochs, grad_clip=grad_clip)
    model.to(compute.torch_device)
    schedule = schedule or Schedule("constant")
    heard = (*listeners, *progress_listeners(progress, rank=ranks.rank))
    initial_lrs = learning_rates(optimizer)

    run = Run(model, optimizer, compute, epochs=epochs, epoch_steps=len(loader), rank=ranks.rank, task=task)
    state = State(
        run=run,
        scaler=torch.amp.GradScaler(compute.torch_device.type, enabled=compute.precision == "float16"),
        means=Means(),
        listeners=listeners,
        identity=identity_of(
            run, rng_seed=rng_seed, schedule=schedule, initial_lrs=initial_lrs, grad_clip=grad_clip, average=average
        ),
        average=RunningAverage(average, model) if average else None,
        watch=Watch(early_stop) if early_stop else None,
    )
    keeper = Keeper(checkpoints, state, ranks)
    with kept_random_state(), Interrupts() as interrupts:
        keeper.begin()
        update = Update(
            run=run,
            network=ranks.wrap(run.model),
            ranks=ranks,
            scaler=state.scaler,
            schedule=schedule,
            initial_lrs=initial_lrs,
            grad_clip=grad_clip,
            rng_seed=rng_seed,
            listeners=heard,
        )
        _Loop(run, loader, heard, state, keeper, update, ranks, interrupts).train()
    return _result(state)


@dataclass(frozen=True)
class _Loop:
    """The loop and all that takes part in it."""

    run: Run
    loader: Loader
    listeners: Sequence[Listener]
    state: State
    keeper: Keeper
    update: Update
    ranks: Ranks
    interrupts: Interrupts

    def train(self) -> None:
        """Trains to the end; whatever happens, learning rates are put back and listeners hear `on_end`."""
        run = self.run
        run.model.train()
        try:
            with ExitStack() as ends:
                for listener in self.listeners:
                    ends.callback(listener.on_end, run)
                    listener.on_start(run)
                self._train_epochs()
        except KeyboardInterrupt as interrupt:
            if self.state.average:
                self.state.average.give_back(run.model)
            interrupt.args = (self.keeper.save_interrupted(whole=self.update.whole),)
            raise
        finally:
            set_learning_rates(run.optimizer, self.update.initial_lrs)
            run.model.eval()

    def _train_epochs(self) -> None:
        """All remaining epochs."""
        run = self.run
        while run.epoch < run.epochs and not self._stopped():
            self._train_epoch()
            if run.batch == run.epoch_steps:
                self._close_epoch()
        self.keeper.save()

    def _train_epoch(self) -> None:
        """All remaining batches of the epoch."""
        run = self.run
        batches = self.loader.epoch(run.epoch, run.batch, self.ranks.rank, self.ranks.world)
        for _, batch in zip(range(run.batch, run.epoch_steps), batches, strict=False):
            with self.interrupts.held():
                self.update(run.compute.to_device(batch))
                self._note_step()
            if self._stopped():
                return
            if run.batch < run.epoch_steps:
                self.keeper.save_if_due()
        if run.batch < run.epoch_steps:
            raise TrainingError(
                f"The loader must give as many batches as its length, {run.epoch_steps} (got {run.batch} batches in "
                f"epoch {run.epoch}). Its len() must be the number of batches."
            )

    def _note_step(self) -> None:
        """Updates averages, means and listeners after an update (a listener may make the network smaller)."""
        run, average = self.run, self.state.average
        if average and not run.skipped:
            average.update(run.model)
        self.state.means.add({"loss": run.loss, **run.metrics})
        for listener in self.listeners:
            listener.on_step(run)
        self.update.follow_network()
        if average:
            average.follow(run.model)

    def _close_epoch(self) -> None:
        """Does validation, early stop, listeners and a checkpoint after the last batch."""
        run = self.run
        validation = self._validate()
        with self.interrupts.held():
            self._note_epoch(validation)
        for listener in self.listeners:
            listener.on_epoch(run)
        if run.epoch < run.epochs:  # after the last one a checkpoint comes anyway
            self.keeper.save_if_due(epoch_ended=True)

    def _note_epoch(self, validation: dict[str, float]) -> None:
        """Puts the epoch into the history and goes to the next, unless early stop ends the run."""
        run, state = self.run, self.state
        means = state.means.take()
        loss, lr = means.pop("loss"), learning_rates(run.optimizer)[0]
        epoch = Epoch(run.epoch, run.step, loss, lr, metrics=means, validation=validation)
        if state.watch:
            state.watch.look(epoch, state.average.tensors if state.average else state_of(run.model))
            if state.watch.reason:
                run.stop(state.watch.reason)
        run.history.append(epoch)
        run.epoch, run.batch = run.epoch + 1, 0

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """The task's validation, in eval mode and with averaged weights if there are; both are as before afterwards."""
        run, average = self.run, self.state.average
        self.ranks.share(run.model.buffers())
        modes = {module: module.training for module in run.model.modules()}
        run.model.eval()
        try:
            if average:
                self.ranks.share(average.tensors.values())
                with average.applied(run.model):
                    found = run.task.validate(run.model, run.compute)
            else:
                found = run.task.validate(run.model, run.compute)
        finally:
            for module, training in modes.items():
                module.training = training
        return self.ranks.of_first({name: float(value) for name, value in found.items()})

    def _stopped(self) -> bool:
        """Whether a listener (of any process) or early stop has ended the run."""
        run = self.run
        if self.ranks.any(run.stopped_because is not None):
            run.stop("another process stopped")
        return run.stopped_because is not None


def _require_fitting(
    model: nn.Module, loader: Loader, optimizer: Optimizer, *, epochs: int, grad_clip: float | None
) -> None:
    """Refuses arguments that can't be trained with, before anything is changed."""
    if epochs < 1:
        raise InputError(f"`epochs` must be a number of passes >= 1 (got {epochs}).")
    if grad_clip is not None and not grad_clip > 0:
        raise InputError(f"`grad_clip` must be the largest allowed norm, like 1.0, or None (got {grad_clip}).")
    if len(loader) < 1:
        raise TrainingError(
            "`loader` must have at least one batch. Give it data, or a smaller batch size if it drops short batches."
        )
    own = {id(parameter) for parameter in model.parameters()}
    foreign = [parameter for parameter in parameters_of(optimizer) if id(parameter) not in own]
    if foreign:
        raise TrainingError(
            f"The optimizer holds {len(foreign)} parameters that aren't the model's, the first of shape "
            f"{tuple(foreign[0].shape)}. Make it from this model: torch.optim.SGD(model.parameters(), ...)."
        )


def _result(state: State) -> FitResult:
    """The result, with the best epoch's weights put in place if early stop restores them."""
    run, watch = state.run, state.watch
    averaged = dict(state.average.tensors) if state.average else None
    if watch and watch.tensors and averaged:
        averaged = dict(watch.tensors)
    elif watch and watch.tensors:
        run.model.load_state_dict(watch.tensors)
    return FitResult(
        model=run.model,
        history=tuple(run.history),
        steps=run.step,
        epochs=run.epoch,
        stopped_because=run.stopped_because or "all epochs are done",
        best=watch.best if watch else None,
        averaged=averaged,
    )
