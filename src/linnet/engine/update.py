"""One update of the weights: forward, backward, check of the loss, clipping, step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from linnet.engine.compute.distributed import Ranks
from linnet.engine.compute.random_state import seed_torch
from linnet.engine.events import Listener, Run
from linnet.engine.listeners.schedule import Schedule, set_learning_rates
from linnet.errors import NonFiniteLoss, TrainingError


@runtime_checkable
class BatchStep(Protocol):
    """An optimizer whose update needs inputs and targets: natural gradient with exact curvature, for one.

    Attributes:
        needs_batch: Whether it needs them as it was made; if not, the loop does forward, backward and `step()`.
    """

    needs_batch: bool

    def step_on(self, batch: Any) -> tuple[float, dict[str, float]]:
        """Makes one update.

        Args:
            batch: (inputs, targets), on the device; in a run of several processes the part of this one. The optimizer
                sees to it that all end with the same weights.

        Returns:
            The loss before the update, the same in all processes, and numbers by name that are shown.
        """
        ...


@dataclass
class Update:
    """Makes updates of a run's weights, one for each call.

    Attributes:
        run: The run.
        network: The network to call: bare, or in DDP.
        ranks: The processes.
        scaler: Loss scaling; disabled unless float16.
        schedule: Of the learning rate.
        initial_lrs: Learning rate of each parameter group that the schedule multiplies.
        grad_clip: Largest norm of all gradients together; None leaves them.
        rng_seed: Of the run.
        listeners: Called at `on_gradients`.
        whole: Whether the run's tensors are those after `run.step` updates: False while an update is half made.
    """

    run: Run
    network: nn.Module
    ranks: Ranks
    scaler: torch.amp.GradScaler
    schedule: Schedule
    initial_lrs: Sequence[float]
    grad_clip: float | None
    rng_seed: int
    listeners: Sequence[Listener]
    whole: bool = field(default=True, init=False)
    _sizes: list[torch.Size] = field(default_factory=list, init=False)
    _model: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self._sizes, self._model = self._present_sizes(), self.run.model

    def follow_network(self) -> None:
        """Wraps the network anew when a listener has changed it or the size of a weight: DDP's buckets don't follow."""
        sizes = self._present_sizes()
        if sizes != self._sizes or self._model is not self.run.model:
            self._model = self.run.model
            self.network, self._sizes = self.run.model, sizes  # lets the old wrapper go first
            self.network = self.ranks.wrap(self.run.model)

    def __call__(self, batch: Any) -> None:
        """Makes one update with a batch that is on the device.

        Raises:
            NonFiniteLoss: the loss (or, on a CPU with clipping, the gradient norm) is NaN or infinite; the weights are
                as before.
            TrainingError: the task's loss isn't a scalar with a gradient.
        """
        before, self.whole = self._versions(), False
        by_batch = self._by_batch()
        try:
            if by_batch is not None:
                self._step_on(by_batch, batch)
            else:
                self._find_gradients(batch)
        except BaseException:
            self.whole = self._versions() == before
            raise
        if by_batch is not None:
            self._count()
        else:
            self._step()
        self.whole = True

    def _by_batch(self) -> BatchStep | None:
        """The optimizer, if it takes the batch itself."""
        optimizer = self.run.optimizer
        return optimizer if isinstance(optimizer, BatchStep) and optimizer.needs_batch else None

    def _step_on(self, optimizer: BatchStep, batch: Any) -> None:
        """An update by an optimizer that takes the batch itself."""
        if self.scaler.is_enabled() or self.grad_clip is not None:
            raise TrainingError(
                f"{type(optimizer).__name__} takes the batch itself, so it can't be used with "
                f"{'float16' if self.scaler.is_enabled() else f'grad_clip (got {self.grad_clip})'}. Leave it out, or "
                "give the optimizer approx='kfac', which takes gradients."
            )
        run = self.run
        self._prepare()
        run.loss, run.metrics = optimizer.step_on(batch)
        run.skipped = not math.isfinite(run.loss)

    def _prepare(self) -> None:
        """The step's random numbers and learning rates; no gradients."""
        run = self.run
        seed_torch(self.rng_seed, "step", run.step, self.ranks.rank)
        factor = self.schedule.factor(run.step, run.steps_total)
        set_learning_rates(run.optimizer, [lr * factor for lr in self.initial_lrs])
        run.optimizer.zero_grad(set_to_none=True)

    def _find_gradients(self, batch: Any) -> None:
        run = self.run
        self._prepare()
        with run.compute.autocast():
            loss, metrics = run.task.loss(self.network, batch)
        numbers = HostNumbers(loss, metrics)
        self.scaler.scale(loss).backward()
        run.loss, run.metrics = numbers.mean_over(self.ranks)
        self._require_finite(run.loss, "loss")
        self.scaler.unscale_(run.optimizer)
        for listener in self.listeners:
            listener.on_gradients(run)
        self._clip()

    def _step(self) -> None:
        run = self.run
        scale = self.scaler.get_scale()
        self.scaler.step(run.optimizer)
        self.scaler.update()
        run.skipped = self.scaler.get_scale() < scale  # it shrinks exactly when gradients overflowed
        self._count()

    def _count(self) -> None:
        run = self.run
        run.step += 1
        run.batch += 1

    def _clip(self) -> None:
        if self.grad_clip is None:
            return
        norm = nn.utils.clip_grad_norm_(parameters_of(self.run.optimizer), self.grad_clip)
        if not norm.is_cuda and not self.scaler.is_enabled():
            self._require_finite(float(norm), "gradient norm")

    def _require_finite(self, value: float, what: str) -> None:
        if math.isfinite(value):
            return
        run = self.run
        raise NonFiniteLoss(
            f"The {what} of epoch {run.epoch}, batch {run.batch} (step {run.step}) is {value}, so the update "
            f"wasn't made. Look at that batch (`loader.epoch({run.epoch}, start={run.batch})`), lower the learning "
            "rate, or clip gradients (`grad_clip=1.0`)."
        )

    def _present_sizes(self) -> list[torch.Size]:
        """Of all weights; in a run of several processes only, where they matter."""
        return [parameter.shape for parameter in self.run.model.parameters()] if self.ranks.world > 1 else []

    def _versions(self) -> list[int]:
        """How often each weight and buffer was written in place."""
        return [tensor._version for tensor in chain(self.run.model.parameters(), self.run.model.buffers())]


class HostNumbers:
    """The loss and metrics of a batch on their way to the host.

    Before each update the host must know whether the loss is finite. On a GPU the copy is queued right after the
    forward pass, and read only when the backward pass is queued too: the host then waits for the forward pass alone
    while the GPU has the backward pass to do, so that the check on every step leaves no gap. On a CPU there is nothing
    to wait for.

    Args:
        loss: A scalar with a gradient.
        metrics: Scalars by name.

    Raises:
        TrainingError: one of them isn't a scalar, or the loss has no gradient.
    """

    def __init__(self, loss: Tensor, metrics: dict[str, Tensor]) -> None:
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            raise TrainingError(
                f"Task.loss must return the batch's mean loss, a scalar with a gradient (got {_kind(loss)})."
            )
        for name, value in metrics.items():
            if isinstance(value, Tensor) and value.ndim:
                raise TrainingError(
                    f"Task.loss must return a scalar for the metric `{name}`, such as its mean (got {_kind(value)})."
                )
        self._names = tuple(metrics)
        scalars = [
            torch.as_tensor(value).detach().to(loss.device, torch.float64) for value in (loss, *metrics.values())
        ]
        self._numbers = torch.stack(scalars)
        self._arrived: torch.cuda.Event | None = None
        if loss.is_cuda:
            self._numbers = torch.empty(len(scalars), dtype=torch.float64, pin_memory=True).copy_(
                self._numbers, non_blocking=True
            )
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def mean_over(self, ranks: Ranks) -> tuple[float, dict[str, float]]:
        """The loss and the metrics, averaged over the processes."""
        if self._arrived is not None:
            self._arrived.synchronize()
        loss, *metrics = ranks.mean(self._numbers.tolist())
        return loss, dict(zip(self._names, metrics, strict=True))


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """All parameters of an optimizer, group by group."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"a tensor of shape {tuple(value.shape)}{'' if value.requires_grad else ' without gradient'}"
