"""The running mean of each channel's importance over a training, and how fast old measurements fade."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from linnet.arrays import Floats
from linnet.errors import InputError, TrainingError
from linnet.prune.importance.from_weights import Normalise, scaled
from linnet.suggest import one_of

_MOST_SKIPPED = 20  # measurements in a row that weren't finite
_EVAPORATE, _PER_DROP = 0.6, 0.1  # of the published predecessor (dynamic channel propagation)
_EMA = 0.99  # ours
_WORDS = ("evaporate", "schedule", "ema")


@dataclass(frozen=True)
class Forgetting:
    """How a running mean forgets.

    Attributes:
        base: Its decay.
        per_drop: Added to the decay at each drop of the learning rate, up to 1.
        mixes: Whether u <- decay u + (1 - decay) v, a running mean, or u <- decay u + v.
    """

    base: float
    per_drop: float = 0.0
    mixes: bool = False

    @classmethod
    def named(cls, memory: float | str) -> Forgetting:
        """The meaning of `Pruner(memory=...)`.

            evaporate  u <- 0.6 u + v
            a number   u <- number u + v
            schedule   u <- decay u + v with a decay of 0.6, and 0.1 more after each drop of the learning rate
            ema        u <- 0.99 u + 0.01 v, begun at the first v

        Raises:
            InputError: another word, or a number outside of 0..1.

        Source:
            "evaporate" and "schedule" follow the published code of the method's predecessor; "ema": ours.
        """
        if isinstance(memory, (int, float)) and not isinstance(memory, bool):
            if not (math.isfinite(memory) and 0 <= memory <= 1):
                raise InputError(f"`memory` must be a decay in 0..1, or one of {', '.join(_WORDS)} (got {memory}).")
            return cls(float(memory))
        word = one_of("memory", memory, _WORDS)
        if word == "ema":
            return cls(_EMA, mixes=True)
        return cls(_EVAPORATE, per_drop=_PER_DROP if word == "schedule" else 0.0)

    def decay(self, drops: int) -> float:
        """The decay after so many drops of the learning rate."""
        return min(self.base + self.per_drop * drops, 1.0)


class RunningMean:
    """Importances of all channels, class after class.

    A measurement gives every channel v, the mean over samples (of all processes) of what the gates measured, divided by
    its class's largest or mean. It is u <- decay u + v for channels that are measured, and u stays for the others; a
    running mean, u <- decay u + (1 - decay) v, begins with the first v of the class.

    Args:
        slices: Class name -> where its channels lie.
        total: Number of channels.
        mixes: Whether it is a running mean.
        normalise: What a class is divided by: its "max" or its "mean".

    Attributes:
        utility: float64 (total,): u.
        measurements: How many were taken in.
        skipped: How many weren't finite.
    """

    def __init__(self, slices: Mapping[str, slice], total: int, *, mixes: bool = False, normalise: Normalise = "max"):
        self.slices, self.mixes = slices, mixes
        self.normalise: Normalise = normalise
        self.utility: Floats = np.zeros(total)
        self.measurements, self.skipped, self._in_a_row = 0, 0, 0

    def take(self, total: Tensor, samples: int, *, decay: float, live: npt.NDArray[np.bool_]) -> None:
        """Takes a measurement in, or counts it as skipped when it isn't finite.

        Args:
            total: float64 (total,): sums over samples; a sign that is left counts for nothing.
            samples: How many there were.
            decay: Decay of u.
            live: bool (total,): which channels were measured.

        Raises:
            TrainingError: the 20th measurement in a row that isn't finite.
        """
        if not bool(torch.isfinite(total).all()):
            self._skip()
            return
        self._in_a_row, value = 0, (total.abs() / samples).numpy()
        for part in self.slices.values():
            if value[part].max(initial=0.0) > 0:
                fresh = self._after(self.utility[part], scaled(value[part], by=self.normalise), decay)
                self.utility[part] = np.where(live[part], fresh, self.utility[part])
        self.measurements += 1

    def by_class(self) -> dict[str, Floats]:
        """Class name -> (channels,) importances."""
        return {name: self.utility[part] for name, part in self.slices.items()}

    def state_dict(self) -> dict[str, Any]:
        """What it holds, as a tensor and numbers."""
        counts = [self.measurements, self.skipped, self._in_a_row]
        return {"utility": torch.from_numpy(self.utility.copy()), "counts": counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.utility = state["utility"].numpy().copy()
        self.measurements, self.skipped, self._in_a_row = (int(x) for x in state["counts"])

    def _after(self, old: Floats, value: Floats, decay: float) -> Floats:
        if not self.mixes:
            return decay * old + value
        return decay * old + (1 - decay) * value if old.any() else value

    def _skip(self) -> None:
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        if self._in_a_row >= _MOST_SKIPPED:
            raise TrainingError(
                f"{_MOST_SKIPPED} measurements in a row were NaN or infinite, so the loss is. Lower the learning "
                "rate, or clip gradients."
            )
