"""Memory: what each channel was worth, over all measurements of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from linnet.errors import TrainingError
from linnet.prune.utility import Floats, scaled

_MOST_SKIPPED = 20  # measurements in a row that weren't finite


class Memory:
    """Utilities of all channels, class after class.

    A measurement gives every channel v, the mean over samples (of all processes) of what the gates found, divided by
    its class's largest. The memory is u <- decay u + v for channels that are measured and stays for the others.

    Args:
        slices: Class name -> where its channels lie.
        total: Number of channels.

    Attributes:
        utility: float64 (total,): u.
        measurements: How many were taken in.
        skipped: How many weren't finite.
    """

    def __init__(self, slices: Mapping[str, slice], total: int):
        self.slices = slices
        self.utility: Floats = np.zeros(total)
        self.measurements, self.skipped, self._in_a_row = 0, 0, 0

    def take(self, total: Tensor, samples: int, *, decay: float, live: npt.NDArray[np.bool_]) -> None:
        """Takes a measurement in, or counts it as skipped when it isn't finite.

        Args:
            total: float64 (total,): sums over this process's samples.
            samples: How many there were.
            decay: Of the memory.
            live: bool (total,): which channels were measured.

        Raises:
            TrainingError: the 20th measurement in a row that isn't finite.
        """
        total, samples = _summed(total, samples)
        if not bool(torch.isfinite(total).all()):
            self._skip()
            return
        self._in_a_row, value = 0, (total / samples).numpy()
        for part in self.slices.values():
            if value[part].max(initial=0.0) > 0:
                fresh = decay * self.utility[part] + scaled(value[part])
                self.utility[part] = np.where(live[part], fresh, self.utility[part])
        self.measurements += 1

    def by_class(self) -> dict[str, Floats]:
        """Class name -> (channels,) utilities."""
        return {name: self.utility[part] for name, part in self.slices.items()}

    def state_dict(self) -> dict[str, Any]:
        """What it holds, as a tensor and numbers."""
        counts = [self.measurements, self.skipped, self._in_a_row]
        return {"utility": torch.from_numpy(self.utility.copy()), "counts": counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.utility = state["utility"].numpy().copy()
        self.measurements, self.skipped, self._in_a_row = (int(x) for x in state["counts"])

    def _skip(self) -> None:
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        if self._in_a_row >= _MOST_SKIPPED:
            raise TrainingError(
                f"{_MOST_SKIPPED} measurements in a row were NaN or infinite; the loss is. Lower the learning "
                "rate, or clip gradients."
            )


def _summed(total: Tensor, samples: int) -> tuple[Tensor, int]:
    """Over all processes of a distributed run, before anything is normalised."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return total, samples
    flat = torch.cat([total, total.new_tensor([samples])])
    dist.all_reduce(flat)
    return flat[:-1], int(flat[-1])
