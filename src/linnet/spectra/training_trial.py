"""Gradient descent just below and just above a step size, and over a grid of step sizes and widths."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from linnet.core.jacobian.losses import LOSSES, Loss
from linnet.errors import InputError
from linnet.spectra.rows.checks import check_inputs, check_mode, check_samples, loss_of
from linnet.spectra.safe_step import SafeLR, read_batches, safe_lr
from linnet.suggest import is_number, is_whole, one_of


@dataclass(frozen=True)
class Trial:
    """A copy that was trained with one step size.

    Attributes:
        lr: The step size.
        losses: Before each step and after the last.
    """

    lr: float
    losses: tuple[float, ...]

    @property
    def peak(self) -> float:
        """The largest loss over the first; infinite where it wasn't finite."""
        finite = all(math.isfinite(value) for value in self.losses)
        return max(self.losses) / self.losses[0] if finite and self.losses[0] > 0 else math.inf

    @property
    def last(self) -> float:
        """The last loss over the first."""
        return self.losses[-1] / self.losses[0] if self.losses[0] > 0 else math.nan


@dataclass(frozen=True)
class VerifiedLR:
    """What training just below and just above a step size did.

    Attributes:
        below: At 0.9 of it.
        above: At 1.1 of it.
        targets: "own": near a zero of the loss, the network's own outputs. "data": on the given labels.
    """

    below: Trial
    above: Trial
    targets: str

    @property
    def holds(self) -> bool:
        """Below, the loss ends lower than it began; above, it rises to ten times that."""
        return self.below.last < 1 and self.above.peak > 10

    def __str__(self) -> str:
        verdict = "verified" if self.holds else "not verified"
        return (
            f"{verdict}: at {self.below.lr:.4g} the loss falls to {self.below.last:.3g} of its start, at "
            f"{self.above.lr:.4g} it rises to {self.above.peak:.3g} times"
        )


def verify_lr(
    model: nn.Module,
    data: Tensor | tuple[Tensor, Tensor],
    lr: float | SafeLR,
    *,
    loss: str | nn.Module = "mse",
    momentum: float = 0.0,
    targets: Literal["own", "data"] = "own",
    steps: int = 60,
    displacement: float = 1e-3,
    rng_seed: int = 0,
) -> VerifiedLR:
    """Trains copies of the network by gradient descent at 0.9 and at 1.1 of a step size.

    targets="own" takes the network's own outputs as targets and begins a little beside its weights: there the loss is
    zero, so that the Gauss-Newton matrix is the Hessian and the limit is sharp. Above it the loss rises before it may
    "catapult" into a flatter place: the peak is looked at, not the end. targets="data" trains on the labels instead,
    where the residual's part of the Hessian and its change along the way count as well.

    Args:
        model: The network, in eval mode; copies are trained.
        data: x, or (x, y) for targets="data".
        lr: The step size; a `SafeLR` in linnet's units.
        loss: "mse" or "cross_entropy".
        momentum: beta of heavy-ball momentum; that of a `SafeLR` where it has one.
        targets: "own" or "data".
        steps: Of each training.
        displacement: Size of the random displacement, in parts of each parameter's root mean square, for "own".
        rng_seed: Of the displacement.

    Raises:
        InputError: an argument can't be used, or labels are missing.
    """
    known = loss_of(loss)
    one_of("targets", targets, ("own", "data"))
    (x, y), *_ = read_batches(data, None, labels=False)[0]
    if targets == "data" and y is None:
        raise InputError("`data` must hold labels for targets='data' (got inputs alone). Give (x, y).")
    if not (isinstance(lr, SafeLR) or is_number(lr)) or not is_number(float(lr), 0.0, above=True):
        raise InputError(f"`lr` must be above 0 (got {lr!r}). Give what safe_lr(...) gives, or a number.")
    if not is_whole(steps, 1):
        raise InputError(f"`steps` must be 1 or more (got {steps!r}).")
    check_mode(model)
    check_inputs(model, x)
    check_samples(model, x)
    beta = lr.momentum if isinstance(lr, SafeLR) and momentum == 0.0 else momentum
    trials = [
        Trial(
            factor * float(lr),
            tuple(_train(model, x, y, known, factor * float(lr), beta, targets, steps, displacement, rng_seed)),
        )
        for factor in (0.9, 1.1)
    ]
    return VerifiedLR(trials[0], trials[1], targets)


def _train(
    model: nn.Module,
    x: Tensor,
    y: Tensor | None,
    loss: Loss,
    lr: float,
    momentum: float,
    targets: str,
    steps: int,
    displacement: float,
    rng_seed: int,
) -> list[float]:
    twin = copy.deepcopy(model)
    parameters = [p for p in twin.parameters() if p.requires_grad]
    with torch.no_grad():
        own = twin(x)
    if targets == "own":
        generator = torch.Generator().manual_seed(rng_seed)
        with torch.no_grad():
            for p in parameters:
                size = displacement * float(p.square().mean().sqrt().clamp_min(1e-3))
                p.add_(size * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p))
    velocity = [torch.zeros_like(p) for p in parameters]
    losses = []
    for step in range(steps + 1):
        f = twin(x)
        value = _divergence(loss, f, own) if targets == "own" else loss.value(f.reshape(len(x), -1), y)  # pyright: ignore[reportArgumentType]
        losses.append(float(value.detach()))
        if step == steps or not math.isfinite(losses[-1]) or losses[-1] > 1e6 * max(losses[0], 1e-30):
            break
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocity, gradients, strict=True):
                if g is not None:
                    p.sub_(v.mul_(momentum).add_(g), alpha=lr)
    return losses


def _divergence(loss: Loss, f: Tensor, own: Tensor) -> Tensor:
    """The loss beside the network's own outputs, 0 at its weights: half squares, or Kullback and Leibler's
    divergence."""
    f, own = f.reshape(len(f), -1), own.reshape(len(f), -1)
    if loss is LOSSES["mse"]:
        return (f - own).square().sum() / (2 * len(f))
    log_p, log_q = own.double().log_softmax(1), f.double().log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum() / len(f)


@dataclass(frozen=True)
class LRMap:
    """Losses after some steps of gradient descent, over step sizes and widths.

    Attributes:
        widths: Of the networks.
        lrs: Step sizes, ascending.
        losses: Last loss over the first, (widths, lrs); infinite where training diverged.
        peaks: Largest loss over the first; above the limit it is large even where training then finds a flatter place.
        limits: 2 / lambda_max of each width at the start.
    """

    widths: tuple[int, ...]
    lrs: tuple[float, ...]
    losses: Tensor
    peaks: Tensor
    limits: tuple[float, ...]

    def edges(self) -> tuple[float, ...]:
        """The largest step size of each width up to which no training rose to twice its start; 0 where all did."""
        found = []
        for row in self.peaks:
            down = (row < 2).tolist()
            count = down.index(False) if False in down else len(down)
            found.append(self.lrs[count - 1] if count else 0.0)
        return tuple(found)


def lr_map(
    make: Callable[[int], nn.Module],
    widths: Sequence[int],
    lrs: Sequence[float],
    data: Callable[[int], Tensor] | Tensor,
    *,
    loss: str | nn.Module = "mse",
    steps: int = 60,
    displacement: float = 1e-3,
    rng_seed: int = 0,
) -> LRMap:
    """Trains networks of several widths with several step sizes, each near its own zero of the loss.

    As in `verify_lr` the targets are the network's own outputs, so that the edge between falling and rising losses is
    2 / lambda_max of each width.

    Args:
        make: From a width to a network in eval mode.
        widths: Some.
        lrs: Step sizes, ascending.
        data: Inputs, or from a width to inputs.
        loss: "mse" or "cross_entropy".
        steps: Of each training.
        displacement: As in `verify_lr`.
        rng_seed: Of the displacement.

    Raises:
        InputError: there is no width or step size, or the step sizes aren't above 0 and ascending.
    """
    known = loss_of(loss)
    sound = [is_whole(width, 1) for width in widths] + [is_number(lr) for lr in lrs]
    if not callable(make) or isinstance(make, nn.Module) or not all(sound) or not is_whole(steps, 1):
        raise InputError(
            "`make` must be a function from a width to a network, `widths` whole numbers >= 1, `lrs` numbers and "
            f"`steps` 1 or more (got {type(make).__name__}, {list(widths)}, {list(lrs)}, {steps!r})."
        )
    if not widths or not lrs or min(lrs) <= 0 or sorted(lrs) != list(lrs):
        raise InputError(
            "`widths` and `lrs` must not be empty, and `lrs` must be above 0 and ascending (got "
            f"widths={list(widths)}, lrs={list(lrs)})."
        )
    rows, peaks, limits = [], [], []
    for width in widths:
        model, x = make(width), data(width) if callable(data) else data
        check_mode(model)
        check_inputs(model, x)
        limits.append(float(safe_lr(model, x, known.name)))
        trials = [
            Trial(lr, tuple(_train(model, x, None, known, lr, 0.0, "own", steps, displacement, rng_seed))) for lr in lrs
        ]
        rows.append([trial.last if math.isfinite(trial.peak) else math.inf for trial in trials])
        peaks.append([trial.peak for trial in trials])
    return LRMap(tuple(widths), tuple(lrs), torch.tensor(rows).double(), torch.tensor(peaks).double(), tuple(limits))
