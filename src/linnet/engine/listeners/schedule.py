"""Schedule: how the learning rate changes over a run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor

from linnet.errors import InputError

Name = Literal["constant", "linear", "cosine", "step"]


@dataclass(frozen=True)
class Schedule:
    """A factor on every group's initial learning rate.

    With s the index of the update, w = `warmup_steps`, f = `final_fraction` and t = (s - w) / (total - w) in [0, 1):

        warm-up, s < w     (s + 1) / w
        constant           1
        linear             1 - (1 - f) t
        cosine             f + (1 - f) (1 + cos(pi t)) / 2
        step               gamma ^ (number of milestones <= t)

    t stays below 1, so the last update has a rate a little above f and is not lost.

    Attributes:
        name: "constant", "linear", "cosine" or "step".
        warmup_steps: Updates over which the factor rises linearly to 1.
        final_fraction: f, for linear and cosine.
        milestones: For step: fractions of the time after warm-up, in (0, 1), rising.
        gamma: For step: factor at each milestone.

    Raises:
        InputError: a value is out of its range; the message names it.

    Source:
        Cosine: Loshchilov & Hutter 2017 (SGDR), without restarts. Warm-up: Goyal et al. 2017.

    Example:
        >>> Schedule("linear", warmup_steps=2).factor(0, 10)
        0.5
    """

    name: Name = "cosine"
    warmup_steps: int = 0
    final_fraction: float = 0.0
    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if self.name not in get_args(Name):
            raise InputError(f"`schedule` must be one of {', '.join(get_args(Name))} (got {self.name!r}).")
        if self.warmup_steps < 0:
            raise InputError(f"`warmup_steps` must be a number of updates >= 0 (got {self.warmup_steps}).")
        if not 0 <= self.final_fraction <= 1:
            raise InputError(f"`final_fraction` must be a fraction in 0..1 (got {self.final_fraction}).")
        rising = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        if not rising or not all(0 < milestone < 1 for milestone in self.milestones):
            raise InputError(
                f"`milestones` must be rising fractions of the run, like (0.5, 0.75) (got {self.milestones})."
            )
        if not self.gamma > 0:
            raise InputError(f"`gamma` must be a positive factor, like 0.1 (got {self.gamma}).")

    def factor(self, step: int, total: int) -> float:
        """The factor of the initial learning rate.

        Args:
            step: Index of the update, 0..total-1.
            total: Updates in the whole run.

        Returns:
            A factor in [0, 1] (or above, for step with gamma > 1).
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        t = (step - self.warmup_steps) / max(1, total - self.warmup_steps)
        return _SHAPES[self.name](self, min(t, 1.0))


def _linear(schedule: Schedule, t: float) -> float:
    return 1 - (1 - schedule.final_fraction) * t


def _cosine(schedule: Schedule, t: float) -> float:
    return schedule.final_fraction + (1 - schedule.final_fraction) * (1 + math.cos(math.pi * t)) / 2


def _step(schedule: Schedule, t: float) -> float:
    return schedule.gamma ** sum(milestone <= t for milestone in schedule.milestones)


_SHAPES: Mapping[str, Callable[[Schedule, float], float]] = MappingProxyType(
    {"constant": lambda schedule, t: 1.0, "linear": _linear, "cosine": _cosine, "step": _step}
)


def learning_rates(optimizer: torch.optim.Optimizer) -> list[float]:
    """Each group's learning rate."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_learning_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> None:
    """Sets each group's learning rate; one that is a tensor is changed in place."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
