"""What the gradient at the outputs tells of the user's own loss: its value, its residual, and whether it is a mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from linnet.errors import TrainingError
from linnet.optim.natural.approximation import Settings
from linnet.optim.natural.kronecker.agreement import Facts
from linnet.optim.natural.kronecker.backward_hook import RecordedForward

MEAN = 4.0  # |p - onehot|_1 is 2 at most, and so is its weighted mean; the rest is room for a factor in a user's loss


def numbers_of(watches: Sequence[RecordedForward], loss_scale: float) -> tuple[float, ...]:
    """|u|^2, N, loss, loss of outputs 0, and |r|_1, each summed over the samples of this process.

    Args:
        watches: Forwards whose backward has run.
        loss_scale: What the loss was multiplied with.
    """
    total = sum(watch.samples for watch in watches)
    squares, values, size = 0.0, [0.0, 0.0], 0.0
    for watch in watches:
        if watch.g is None or watch.loss is None or not watch.whole:
            continue
        r = watch.g * (total / loss_scale)
        squares += float(watch.loss.coordinates(watch.f, r).double().square().sum())
        values = [value + float(more) for value, more in zip(values, watch.loss.implied(watch.f, r), strict=True)]
        size += float(r.double().abs().sum())
    counted = sum(watch.samples for watch in watches if watch.whole)
    return squares, float(counted), *values, size


def require_mean(facts: Facts, settings: Settings, *, relative: bool) -> None:
    """Refuses gradients of a loss that isn't a mean over the samples, where alpha or the factors are made of them.

    Raises:
        TrainingError: the residual's mean size is out of reach of a mean loss.
    """
    needed = relative or settings.fisher == "empirical"
    _, count, *_, size = facts.numbers
    if settings.loss.name == "mse" or not count or not needed or not math.isfinite(size):
        return
    if size / count > MEAN:
        raise TrainingError(
            "The gradient in the outputs of one sample must be at most 2 on average for a cross entropy that is the "
            f"mean over the samples (got {size / count:.3g}). Give a GradScaler of the loop to the optimizer, "
            "NaturalGradient(..., scaler=scaler); divide a sum by the number of samples, class weights by their mean."
        )
