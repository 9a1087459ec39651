"""The importance of the channels of a network in training, measured by one criterion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from linnet.arrays import Floats
from linnet.core.distributed import added
from linnet.errors import TrainingError
from linnet.prune.importance.criterion import FROM_DATA, Criterion
from linnet.prune.importance.from_weights import Normalise, importances_from_weights
from linnet.prune.importance.running_mean import Forgetting, RunningMean
from linnet.prune.masks.masked_network import MaskedNetwork
from linnet.prune.training.checks import REMEDY
from linnet.prune.training.schedule import Timetable


class RunningImportance:
    """Importances of a masked network's channels, updated by each measurement.

    Args:
        network: The network with its masks.
        criterion: Measured from data and averaged, or read off the present weights.
        forgetting: The averaging of measurements.
        normalise: What a class is divided by: its "max" or its "mean".
        rng_seed: For criterion "random".

    Attributes:
        memory: The importances, and how many measurements were taken.

    Raises:
        BudgetError: the criterion can't rank this network.
    """

    def __init__(
        self,
        network: MaskedNetwork,
        criterion: Criterion,
        forgetting: Forgetting,
        *,
        normalise: Normalise,
        rng_seed: int,
    ):
        self.criterion, self.forgetting = criterion, forgetting
        self.rng_seed, self._masked_network = rng_seed, network
        self.memory = RunningMean(network.slices, network.total, mixes=forgetting.mixes, normalise=normalise)
        if not self.needs_data:
            self._weigh()  # refuses here what can't be ranked

    @property
    def needs_data(self) -> bool:
        """Whether training steps are measured."""
        return self.criterion in FROM_DATA

    def update(self, time: Timetable) -> None:
        """Takes the step under way in.

        Raises:
            TrainingError: no backward pass came before, or 20 in a row weren't finite.
        """
        if not self.needs_data:
            if self.criterion != "random":  # which is drawn once
                self._weigh()
            return
        total, samples = measurement(self._masked_network, signed=self.criterion == "bn_taylor")
        if not samples and not self._masked_network.model.training:
            raise TrainingError(
                f"Step {time.step} measures the channels, but the network is in eval mode, where nothing is "
                "measured. Call model.train() after a validation."
            )
        if not samples:
            raise TrainingError(
                f"Step {time.step} measures the channels, but no backward pass through this network in training "
                "mode came before it. Call `pruner.step(optimizer)` once for each update, after loss.backward(). "
                f"If you did, the network was compiled and called before the pruner was made: {REMEDY}."
            )
        decay = time.decay(self.forgetting.decay(time.drops))
        self.memory.take(total, samples, decay=decay, live=self._masked_network.measured)

    def by_class(self) -> dict[str, Floats]:
        """Class name -> (channels,); channels that were taken out come last."""
        alive, slices = self._masked_network.alive, self._masked_network.slices
        return {name: np.where(alive[slices[name]], u, -1.0) for name, u in self.memory.by_class().items()}

    def require_measured(self) -> None:
        """Raises unless something was measured.

        Raises:
            TrainingError: nothing was measured yet.
        """
        if not self.memory.measurements:
            raise TrainingError(
                "Nothing was measured yet, so no channel's importance is known. Train with "
                "`pruner.step(optimizer)` after each update, or rank channels by the weights alone: Pruner(..., "
                "criterion='l1')."
            )

    def require_finite(self, step: int) -> None:
        """Raises when the masks freeze, but no measurement was finite.

        Raises:
            TrainingError: it is so.
        """
        if self.memory.skipped and not self.memory.measurements:
            raise TrainingError(
                f"The masks freeze at step {step}, but none of {self.memory.skipped} measurements was finite, so no "
                "channel's importance is known. Lower the learning rate or the loss scale, or freeze later."
            )

    def state_dict(self) -> dict[str, Any]:
        """The running mean's state."""
        return self.memory.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the running mean's state."""
        self.memory.load_state_dict(state)

    def __str__(self) -> str:
        return f"{self.criterion}, {self.forgetting}, {self.memory.normalise}, {self.rng_seed}"

    def _weigh(self) -> None:
        everywhere = np.ones(self._masked_network.total, dtype=np.bool_)
        network = self._masked_network
        found = importances_from_weights(
            network.model, network.graph, network.names, self.criterion, rng_seed=self.rng_seed
        )
        living = torch.from_numpy(np.concatenate([found[name] for name in network.names]))
        self.memory.take(network.wide(living), 1, decay=0.0, live=everywhere)


def measurement(network: MaskedNetwork, *, signed: bool = False) -> tuple[Tensor, int]:
    """Takes the step's measurement; every process gets the same.

    Args:
        network: The network with its masks.
        signed: Without absolute values.

    Returns:
        float64 (channels,): sum over the samples of all processes of |sum over reads of x dL/dx|; NaN when that or a
        gradient of the weights isn't finite on some process, as in a step that a `GradScaler` skips. And the number of
        samples, 0 when no backward pass came.
    """
    found = network.take_measurement(signed=signed)
    total, samples = (torch.zeros(network.total, dtype=torch.float64), 0) if found is None else found
    if not _finite(network.model):
        total = total * math.nan
    flat = added(torch.cat([total, total.new_tensor([samples])]))
    return flat[:-1], int(flat[-1])


def _finite(model: nn.Module) -> bool:
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return bool(torch.isfinite(nn.utils.get_total_norm(gradients, float("inf"))))
