"""State: everything that a run must restore to go on as if it had never stopped."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from linnet.engine.checkpoint.checkpoint import Checkpoint
from linnet.engine.checkpoint.flat_state import flatten, load_optimizer, unflatten
from linnet.engine.checkpoint.identity import differences_between, shape_differences
from linnet.engine.events import Epoch, Listener, Run
from linnet.engine.listeners.average import RunningAverage
from linnet.engine.listeners.early_stop import Best, Watch
from linnet.errors import CheckpointError, NonFiniteLoss

_log = logging.getLogger(__name__)


@dataclass
class Means:
    """Running means over an epoch's batches.

    Attributes:
        sums: By name.
        count: Batches so far.
    """

    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, numbers: Mapping[str, float]) -> None:
        """Takes one batch's numbers in."""
        for name, value in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def take(self) -> dict[str, float]:
        """The means; begins anew."""
        means = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


@dataclass
class State:
    """A run and what goes with it, to and from checkpoints.

    Attributes:
        run: The run.
        scaler: Loss scaling.
        means: Of the epoch under way.
        listeners: Their state is saved too.
        identity: The facts that make it this run (see `identity_of`).
        average: Averaged weights, if wanted.
        watch: Early stop, if wanted.
    """

    run: Run
    scaler: torch.amp.GradScaler
    means: Means
    listeners: Sequence[Listener]
    identity: dict[str, Any]
    average: RunningAverage | None
    watch: Watch | None

    def to_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON facts of a checkpoint.

        Raises:
            NonFiniteLoss: a weight is NaN or infinite, so the state isn't worth keeping.
            CheckpointError: the optimizer or a listener holds a value that is neither a tensor nor plain.
        """
        run = self.run
        self._require_finite_weights()
        tensors = _named("model", run.model.state_dict())
        optimizer_tensors, optimizer = flatten(run.optimizer.state_dict(), "optimizer")
        tensors |= optimizer_tensors
        facts = {
            "identity": self.identity,
            "epochs": run.epochs,
            "epoch": run.epoch,
            "batch": run.batch,
            "history": [epoch.to_dict() for epoch in run.history],
            "means": asdict(self.means),
            "scaler": self.scaler.state_dict(),
            "optimizer": optimizer,
            "listeners": {},
        }
        for name, listener in _by_name(self.listeners).items():
            listener_tensors, facts["listeners"][name] = flatten(listener.state_dict(), f"listener.{name}")
            tensors |= listener_tensors
        if self.average:
            tensors |= _named("average", self.average.tensors)
            facts["average_updates"] = self.average.updates
        if self.watch:
            tensors |= _named("best", self.watch.tensors)
            best = asdict(self.watch.best) if self.watch.best else None
            facts["watch"] = {"rule": asdict(self.watch.rule), "best": best, "reason": self.watch.reason}
        return tensors, facts

    def from_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Takes up the run where a checkpoint left it.

        Raises:
            CheckpointError: it is another run's (network, optimizer, seed, ...: each difference is named), or has done
                more epochs than were requested.
        """
        run, facts, tensors = self.run, checkpoint.facts, checkpoint.tensors
        self._require_same_run(checkpoint)
        for name, listener in _by_name(self.listeners).items():  # first: one may change the network
            if name in facts["listeners"]:
                listener.take_up(run, unflatten(facts["listeners"][name], tensors))
        self._require_same_shapes(checkpoint)
        run.model.load_state_dict(_under("model", tensors))
        load_optimizer(run.optimizer, unflatten(facts["optimizer"], tensors))
        self.scaler.load_state_dict(facts["scaler"])
        self.means.sums, self.means.count = dict(facts["means"]["sums"]), facts["means"]["count"]
        run.step, run.epoch, run.batch = checkpoint.step, facts["epoch"], facts["batch"]
        run.history[:] = [Epoch(**epoch) for epoch in facts["history"]]
        if self.average:
            self.average.load(_under("average", tensors), facts["average_updates"])
            self.average.follow(run.model)
        if self.watch and "watch" in facts:
            self._restore_watch(self.watch, facts["watch"], _under("best", tensors))

    def _restore_watch(self, watch: Watch, facts: Mapping[str, Any], best: dict[str, Tensor]) -> None:
        """Takes the best epoch up, and a stop that was made by this same rule."""
        if facts["rule"]["metric"] != watch.rule.metric or facts["rule"]["mode"] != watch.rule.mode:
            return
        watch.best = Best(**facts["best"]) if facts["best"] else None
        watch.tensors = {name: tensor.to(self.run.compute.torch_device) for name, tensor in best.items()}
        if facts["rule"] == asdict(watch.rule):
            watch.reason = self.run.stopped_because = facts["reason"]

    def _require_same_run(self, checkpoint: Checkpoint) -> None:
        theirs, facts = checkpoint.facts["identity"], checkpoint.facts
        differences = differences_between(theirs, self.identity)
        if differences:
            self._refuse(checkpoint, differences + self._other_shapes(checkpoint))
        if facts["epoch"] > self.run.epochs:
            raise CheckpointError(
                f"`epochs` must be at least the {facts['epoch']} epochs that {checkpoint.path} has done (got "
                f"{self.run.epochs}). Give more, or start again with resume=False."
            )
        if facts["epochs"] != self.run.epochs and self.identity["schedule"]["name"] != "constant":
            _log.warning(
                "`epochs` was %d and is now %d, so the schedule is stretched.", facts["epochs"], self.run.epochs
            )

    def _require_same_shapes(self, checkpoint: Checkpoint) -> None:
        self._refuse(checkpoint, self._other_shapes(checkpoint))

    def _other_shapes(self, checkpoint: Checkpoint) -> list[str]:
        return shape_differences(_under("model", checkpoint.tensors), self.run.model.state_dict())

    def _refuse(self, checkpoint: Checkpoint, differences: list[str]) -> None:
        if differences:
            raise CheckpointError(
                f"{checkpoint.path} is of another run: {'; '.join(differences)}. Give this run its own folder, or "
                "start again in this one with resume=False."
            )

    def _require_finite_weights(self) -> None:
        run = self.run
        for name, tensor in run.model.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise NonFiniteLoss(
                    f"`{name}` isn't finite in epoch {run.epoch}, before batch {run.batch} (after {run.step} "
                    "updates): gradients were NaN or infinite though the loss was not. No checkpoint was made of "
                    "it. Lower the learning rate, or clip gradients (`grad_clip=1.0`)."
                )


def _by_name(listeners: Sequence[Listener]) -> dict[str, Listener]:
    """Listeners by class and count among their kind, so that adding another kind doesn't shift them."""
    named: dict[str, Listener] = {}
    for listener in listeners:
        kind = type(listener).__qualname__
        named[f"{kind} {sum(name.startswith(f'{kind} ') for name in named)}"] = listener
    return named


def _named(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix += "."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
