"""EarlyStop: ends a run that has ceased to improve, and keeps its best weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from linnet.engine.events import Epoch
from linnet.errors import InputError, TrainingError


@dataclass(frozen=True)
class EarlyStop:
    """When to stop: no better `metric` for `patience` epochs in a row.

    Attributes:
        metric: A name that `Task.validate` gives.
        patience: Epochs without improvement that end the run.
        mode: "max" if more is better, "min" if less.
        restore: Whether the best epoch's weights are in the network at the end, rather than the last ones.

    Raises:
        InputError: `patience` is below 1 or `mode` is neither.
    """

    metric: str
    patience: int = 10
    mode: Literal["max", "min"] = "max"
    restore: bool = True

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise InputError(f"`patience` must be a number of epochs >= 1 (got {self.patience}).")
        if self.mode not in ("max", "min"):
            raise InputError(f'`mode` must be "max" if more is better, or "min" if less (got {self.mode!r}).')


@dataclass(frozen=True)
class Best:
    """The best epoch so far.

    Attributes:
        epoch: Its index.
        metric: The metric that was compared.
        value: Its value.
    """

    epoch: int
    metric: str
    value: float


@dataclass
class Watch:
    """Follows a run for `EarlyStop`.

    Attributes:
        rule: When to stop.
        best: The best epoch so far, None before the first.
        tensors: Its weights, if they are to be restored.
        reason: Why the run was stopped, None while it goes on.
    """

    rule: EarlyStop
    best: Best | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)
    reason: str | None = None

    def look(self, epoch: Epoch, validated: Mapping[str, Tensor]) -> None:
        """Compares an epoch with the best, and gives a reason to stop when it is time. NaN is never an improvement.

        Args:
            epoch: What has just ended.
            validated: The weights that were validated, by name.

        Raises:
            TrainingError: the task's validation doesn't give the metric.
        """
        rule = self.rule
        if rule.metric not in epoch.validation:
            found = ", ".join(f"`{name}`" for name in epoch.validation) or "nothing"
            raise TrainingError(
                f"Early stop watches `{rule.metric}`, but Task.validate gave {found}. Watch one of those."
            )
        value = epoch.validation[rule.metric]
        if not math.isnan(value) and (self.best is None or self._better(value)):
            self.best = Best(epoch.epoch, rule.metric, value)
            if rule.restore:
                self.tensors = {name: tensor.detach().clone() for name, tensor in validated.items()}
        best_epoch = self.best.epoch if self.best else -1
        if epoch.epoch - best_epoch >= rule.patience:
            best = f"{self.best.value:.4g} of epoch {best_epoch}" if self.best else "NaN"
            self.reason = f"early stop: `{rule.metric}` was no better than {best} for {rule.patience} epochs"

    def _better(self, value: float) -> bool:
        assert self.best is not None
        return value > self.best.value if self.rule.mode == "max" else value < self.best.value
