"""Continued training of all members, through the engine or through the user's own function."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from linnet.engine import Compute, Epoch, Ranks, Schedule, as_loader
from linnet.engine.listeners.schedule import set_learning_rates
from linnet.ensemble.arguments import is_positive, positive_number, require_callable, whole_number
from linnet.ensemble.training.choice import Choice, build, choose
from linnet.ensemble.training.executions import Execution, MemberLoop
from linnet.ensemble.training.first_batch import Loss, first_of, require_loaders, require_trainable
from linnet.ensemble.training.member_batches import MemberBatches
from linnet.ensemble.training.task import MemberRules, MembersTask
from linnet.errors import InputError, TrainingError
from linnet.results import atomic_write

MakeOptimizer = Callable[..., Optimizer]
# Optimizers that treat each element by itself: over stacked tensors they do what they do over the members' own.
ELEMENTWISE = {
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "ASGD", "Rprop", "Padam"
}  # fmt: skip
WARMUP = 0.05  # share of the run over which the learning rate rises; linnet's choice
_KINDS = (
    ("schedule", (Schedule,), "a linnet.engine.Schedule"),
    ("stacked", (bool,), "True or False"),
    ("compute", (Compute,), "a linnet.engine.Compute"),
    ("folder", (str, os.PathLike), "the path of a folder"),
)


@dataclass(frozen=True)
class MembersFit:
    """How the members were trained.

    Attributes:
        members: How many are left.
        stopped: Member, by its number before the training -> why it was stopped; it is no member any more.
        choice: Which execution trained them, and why.
        history: One `Epoch` for each pass; its loss is the mean over the members. Empty for a user's own loop.
        wall_s: Seconds in all.
    """

    members: int
    stopped: dict[int, str]
    choice: Choice
    history: tuple[Epoch, ...]
    wall_s: float


@dataclass(frozen=True)
class Manner:
    """How members are trained, but for the data.

    Attributes:
        optimizer: Called as optimizer(parameters, lr=rate): a class, or functools.partial of one.
        epochs: Passes over the loader.
        lr: Learning rate, or one for each member.
        schedule: Of the rate; None: a warm-up over 5 % of the run, then cosine to 0.
        loss: Of (outputs, targets) of one member.
        stacked: None: measured; True: stacked; False: one member after the other.
        grad_clip: Largest norm of each member's gradients.
        compute: Device and precision.
        folder: For checkpoints; a run that was killed goes on from the last one.
        checkpoint_every: Updates between checkpoints; None: after each epoch.
        rng_seed: Of dropout and of plain iterables' shuffling.
        progress: As in `linnet.engine.fit`.

    Raises:
        InputError: a value is of another kind or out of its range.
    """

    optimizer: MakeOptimizer
    epochs: int
    lr: float | Sequence[float]
    schedule: Schedule | None = None
    loss: Loss = cross_entropy
    stacked: bool | None = None
    grad_clip: float | None = None
    compute: Compute | None = None
    folder: str | os.PathLike[str] | None = None
    checkpoint_every: int | None = None
    rng_seed: int = 0
    progress: Any = "off"

    def __post_init__(self) -> None:
        whole_number("epochs", self.epochs, least=1)
        whole_number("rng_seed", self.rng_seed, least=0)
        if self.checkpoint_every is not None:
            whole_number("checkpoint_every", self.checkpoint_every, least=1)
        if self.grad_clip is not None:
            positive_number("grad_clip", self.grad_clip, remedy="None doesn't clip.")
        for name, call in (("optimizer", "optimizer(parameters, lr=rate)"), ("loss", "loss(outputs, targets)")):
            if not callable(getattr(self, name)):
                raise InputError(f"`{name}` must be a function, called as {call} (got {getattr(self, name)!r}).")
        for name, kinds, words in _KINDS:
            if not isinstance(getattr(self, name), (*kinds, type(None))):
                raise InputError(f"`{name}` must be {words}, or None (got {getattr(self, name)!r}).")
        if self.folder is not None and Path(self.folder).exists() and not Path(self.folder).is_dir():
            raise InputError(f"`folder` must be a folder (got the file {self.folder}). Give another path.")

    def rates(self, members: int) -> list[float]:
        """Each member's learning rate.

        Raises:
            InputError: a rate isn't positive, or there isn't one for each member.
        """
        given = self.lr.tolist() if isinstance(self.lr, (np.ndarray, Tensor)) else self.lr
        listed = given if isinstance(given, (list, tuple)) else [given] * members
        rates = [float(one) if is_positive(one) else 0.0 for one in listed]  # type: ignore[arg-type]
        if len(rates) != members or not all(rates):
            raise InputError(f"`lr` must be a positive number, or {members} of them (got {self.lr!r}).")
        return rates


def fit_members(members: Sequence[nn.Module], source: Any, manner: Manner) -> MembersFit:
    """Trains all members through `linnet.engine.fit`, in place.

    Under `torchrun` the members are dealt out to the processes, each trained by one of them on all batches; afterwards
    every process has all of them.

    Args:
        members: The networks.
        source: A loader of (inputs, targets) that all members share, or a list of M loaders.
        manner: Everything else.

    Returns:
        How it went.

    Raises:
        InputError: an argument is out of its range, or the loader gives no batch.
        TrainingError: the losses of all members are NaN or infinite, or the members can't be stacked.
    """
    start = time.perf_counter()
    compute = manner.compute or Compute.pick()
    ranks = Ranks.join(compute)
    rates = manner.rates(len(members))
    own = list(range(ranks.rank, len(members), ranks.world))
    require_loaders(source, len(members))
    batches = MemberBatches(source, rng_seed=manner.rng_seed) if isinstance(source, (list, tuple)) else source
    stopped: dict[int, str] = {}
    choice, history = Choice("loop", "this process trains no member"), ()
    if own:
        choice, history, stopped = _fit_own(members, own, rates, batches, manner, compute, ranks)
    if ranks.world > 1:
        stopped = _exchange(members, stopped, ranks)
    return MembersFit(len(members) - len(stopped), stopped, choice, history, time.perf_counter() - start)


def _fit_own(
    members: Sequence[nn.Module],
    own: list[int],
    rates: list[float],
    source: Any,
    manner: Manner,
    compute: Compute,
    ranks: Ranks,
) -> tuple[Choice, tuple[Epoch, ...], dict[int, str]]:
    """Trains this process's members; (execution, history, stopped)."""
    from linnet.engine import fit  # loads rich, for its progress bar

    networks = [members[k].to(compute.torch_device).train() for k in own]
    separate = isinstance(source, MemberBatches)
    loader = source.of(own) if isinstance(source, MemberBatches) else as_loader(source, rng_seed=manner.rng_seed)
    folder = None if manner.folder is None else Path(manner.folder)
    if folder is not None and ranks.world > 1:
        folder = folder / f"rank-{ranks.rank}"
    rate = max(rates[k] for k in own)
    first = compute.to_device(first_of(loader))
    require_trainable(networks, first, manner.loss, compute, separate=separate)
    task = MembersTask(manner.loss, separate=separate, numbers=own)
    choice = _choice(networks, first, manner, task, compute, rate, folder)
    execution = build(choice.name, networks, first[0][0] if separate else first[0])
    if execution is None:
        raise TrainingError(f"These members can't be {choice.name}: their architectures differ. Give stacked=None.")
    optimizer = manner.optimizer(execution.parameters(), lr=rate)
    relative = [rates[k] / rate for k in own]
    rules = MemberRules(
        task, execution, own, grad_clip=manner.grad_clip, rates=None if min(relative) == 1 else relative
    )
    steps = manner.epochs * len(loader)
    result = fit(
        execution,
        task,
        loader,
        optimizer=optimizer,
        epochs=manner.epochs,
        schedule=manner.schedule or Schedule("cosine", warmup_steps=round(WARMUP * steps)),
        compute=compute,
        listeners=[rules],
        folder=folder,
        checkpoint_every=manner.checkpoint_every,
        progress=manner.progress,
        rng_seed=manner.rng_seed,
        alone=True,
    )
    execution.write_back()
    for network in networks:
        network.eval()
    return choice, result.history, task.stopped


def _choice(
    networks: Sequence[nn.Module],
    batch: Any,
    manner: Manner,
    task: MembersTask,
    compute: Compute,
    rate: float,
    folder: Path | None,
) -> Choice:
    """The execution: as before when a run goes on, as requested, or measured."""
    noted = None if folder is None else folder / "execution.json"
    if noted is not None and noted.exists():
        return Choice(**json.loads(noted.read_text()))
    elementwise = type(manner.optimizer(MemberLoop(networks).parameters(), lr=rate)).__name__ in ELEMENTWISE
    if manner.stacked is not None:
        choice = Choice("stacked" if manner.stacked else "loop", f"stacked={manner.stacked} was given")
    elif not elementwise:
        choice = Choice("loop", "the optimizer may mix the elements of a tensor, so members must have their own")
    else:
        separate = task.separate
        x = batch[0][0] if separate else batch[0]
        choice = choose(
            networks, x, lambda execution: _step(execution, batch, manner, compute, rate, separate=separate)
        )
    if noted is not None:
        noted.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(noted, json.dumps(asdict(choice)).encode())
    return choice


def _step(
    execution: Execution, batch: Any, manner: Manner, compute: Compute, rate: float, *, separate: bool
) -> Callable[[], object]:
    """A training step to be timed, at a learning rate of 0: it takes as long, and no loss can break by it."""
    optimizer = manner.optimizer(execution.train().parameters(), lr=rate)
    set_learning_rates(optimizer, [0.0] * len(optimizer.param_groups))
    task = MembersTask(manner.loss, separate=separate, numbers=range(execution.members))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with compute.autocast():
            each = task.each(execution, batch)
        each.detach().tolist()  # training waits for the losses too
        each.sum().backward()
        optimizer.step()

    return step


def _exchange(members: Sequence[nn.Module], stopped: dict[int, str], ranks: Ranks) -> dict[int, str]:
    """Gives every process all members, each from the process that trained it; all members that were stopped."""
    for number, member in enumerate(members):
        for tensor in member.state_dict().values():
            dist.broadcast(tensor, src=number % ranks.world)
        member.eval()
    gathered: list[Any] = [None] * ranks.world
    dist.all_gather_object(gathered, stopped, group=ranks.control)
    return {number: reason for found in gathered for number, reason in found.items()}


def fit_by_hand(members: Sequence[nn.Module], train_one: Callable[[nn.Module, int], Any], epochs: int) -> MembersFit:
    """Calls the user's own training function for each member, `epochs` times.

    Args:
        members: The networks; in train mode when the function gets them.
        train_one: Called as train_one(model, member_index); may give its loss.
        epochs: How often.

    Returns:
        How it went; a member whose loss or weights become NaN or infinite is stopped.

    Raises:
        InputError: it can't be called like that.
    """
    require_callable("source", train_one, "train_one(model, member_index)", "model", "member_index")
    start = time.perf_counter()
    stopped: dict[int, str] = {}
    for _ in range(epochs):
        for number, member in enumerate(members):
            if number in stopped:
                continue
            given = train_one(member.train(), number)
            reason = _broken(member, given)
            if reason:
                stopped[number] = reason
    for member in members:
        member.eval()
    choice = Choice("loop", "the user's own training function")
    return MembersFit(len(members) - len(stopped), stopped, choice, (), time.perf_counter() - start)


def _broken(member: nn.Module, given: Any) -> str | None:
    loss = given.detach() if isinstance(given, Tensor) else given
    if isinstance(loss, (int, float, Tensor)) and not math.isfinite(float(loss)):
        return f"its loss became {float(loss)}"
    for name, parameter in member.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return f"its weight `{name}` isn't finite"
    return None
