"""Average: an exponential moving average of the weights, often better than the last ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from linnet.errors import InputError


@dataclass(frozen=True)
class Average:
    """An exponential moving average of weights and floating buffers; integer buffers are copied.

        average <- d average + (1 - d) weights,   d = min(decay, (1 + n) / (10 + n)) at update n

    The smaller d at the beginning forgets the random initial weights sooner; `warmup=False` leaves d at `decay`.

    Attributes:
        decay: In [0, 1); about 1 / (1 - decay) updates are averaged over.
        warmup: Whether d starts small.

    Raises:
        InputError: `decay` is outside [0, 1).

    Source:
        Polyak & Juditsky 1992; the exponential form and its warm-up as in TensorFlow's ExponentialMovingAverage.
    """

    decay: float = 0.999
    warmup: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise InputError(f"`decay` must be a number in [0, 1), like 0.999 (got {self.decay}).")

    def at(self, update: int) -> float:
        """d at an update, counted from 0."""
        return min(self.decay, (1 + update) / (10 + update)) if self.warmup else self.decay


class RunningAverage:
    """The averaged state of a network in training.

    Args:
        average: How to average.
        model: The network; its present state is where the average starts.
    """

    def __init__(self, average: Average, model: nn.Module) -> None:
        self.average = average
        self.updates = 0
        self._own: dict[str, Tensor] | None = None
        self.tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in state_of(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Adds the network's present weights to the average."""
        live = state_of(model)
        floating = [name for name, tensor in live.items() if tensor.is_floating_point()]
        weight = 1 - self.average.at(self.updates)
        for name in floating:
            self.tensors[name].lerp_(live[name], weight)
        for name in live.keys() - set(floating):
            self.tensors[name].copy_(live[name])
        self.updates += 1

    def follow(self, model: nn.Module) -> None:
        """Restarts the average of tensors whose size has changed, and of all when the network is another one."""
        live = state_of(model)
        if live.keys() != self.tensors.keys():
            self.tensors = {name: tensor.clone() for name, tensor in live.items()}
        for name, tensor in live.items():
            if tensor.shape != self.tensors[name].shape:
                self.tensors[name] = tensor.clone()

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Takes the average of a checkpoint."""
        self.updates = updates
        for name, tensor in self.tensors.items():
            self.tensors[name] = tensors[name].to(tensor.device, tensor.dtype, copy=True)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Lends the averaged weights to the network; its own come back, bit for bit, after the block."""
        try:
            self._own = {name: tensor.clone() for name, tensor in state_of(model).items()}
            model.load_state_dict(self.tensors)
            yield
        finally:
            self.give_back(model)

    def give_back(self, model: nn.Module) -> None:
        """Gives the network its own weights back, if they are lent. May be called again after an interrupt."""
        if self._own is not None:
            model.load_state_dict(self._own)
            self._own = None


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """The network's weights and persistent buffers by name, without gradient."""
    return {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
