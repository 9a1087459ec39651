"""[optimizer]: which optimizer, and its constants."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Parameter

from linnet.recipe.setting import setting

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass(frozen=True)
class OptimizerSection:
    """An optimizer of torch; what isn't set has torch's own default.

    Attributes:
        name: Which one.
        lr: Learning rate at factor 1 of the schedule.
        weight_decay: As torch defines it for that optimizer.
        momentum: sgd only.
        nesterov: sgd only.
        betas: adam and adamw only.
        eps: adam and adamw only.
    """

    name: str = setting("the optimizer", choices=tuple(_OPTIMIZERS))
    lr: float = setting("learning rate", above=0)
    weight_decay: float | None = setting("weight decay", default=None, at_least=0)
    momentum: float | None = setting("momentum of sgd", default=None, at_least=0, below=1)
    nesterov: bool | None = setting("Nesterov momentum in sgd", default=None)
    betas: tuple[float, float] | None = setting("decay of adam's two means", default=None, at_least=0, below=1)
    eps: float | None = setting("what adam adds to the root of the second mean", default=None, above=0)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Constants that this optimizer doesn't have, or refuses together."""
        allowed = inspect.signature(_OPTIMIZERS[self.name]).parameters
        for key in self._chosen():
            if key not in allowed:
                yield key, f"`{key}` is no constant of {self.name}; remove it"
        if self.name == "sgd" and self.nesterov and not self.momentum:
            yield "nesterov", "`nesterov` needs `momentum` above 0"

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """The optimizer over these parameters."""
        return _OPTIMIZERS[self.name](parameters, **self._chosen())

    def _chosen(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "name" and value is not None}
