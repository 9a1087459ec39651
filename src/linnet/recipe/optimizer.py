"""[optimizer]: which optimizer, and its constants."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import Parameter

from linnet.engine import GroupSchedule, Listener
from linnet.engine.group_schedule import Shape
from linnet.optim import Padam
from linnet.recipe.setting import setting

_OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = MappingProxyType(
    {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "padam": Padam}
)
_CORRECTIONS = ("official", "power", "none")


@dataclass(frozen=True)
class MovingP:
    """p of padam as a table: a value that moves over the training.

    Attributes:
        from_: p of the first update.
        to: p of the last one.
        shape: "linear", or "step": at once, at half of the training.
        gradient_scale: Typical size of a gradient; with it the learning rate moves along with p, as gradient_scale to
            the power 2 (p - from). None leaves the learning rate to its own schedule.
    """

    from_: float = setting("p of the first update", at_least=0, at_most=0.5)
    to: float = setting("p of the last update", at_least=0, at_most=0.5)
    shape: Shape = setting("how p goes from one to the other", default="linear")
    gradient_scale: float | None = setting("typical size of a gradient, which moves lr with p", default=None, above=0)

    def listener(self) -> GroupSchedule:
        """What moves p during training."""
        gain = 1.0 if self.gradient_scale is None else self.gradient_scale**-2
        return GroupSchedule("p", self.from_, self.to, self.shape, lr_gain=gain)


@dataclass(frozen=True)
class OptimizerSection:
    """An optimizer of torch, or Padam; what isn't set has the optimizer's own default.

    Attributes:
        name: Which one.
        lr: Learning rate at factor 1 of the schedule.
        weight_decay: As torch defines it for that optimizer.
        momentum: sgd only.
        nesterov: sgd only.
        betas: adam, adamw and padam.
        eps: adam, adamw and padam; 0 for padam only.
        amsgrad: adam, adamw and padam: use the largest second mean so far.
        p: padam only: partial adaptivity, from 0 (SGD with momentum) to 1/2 (Amsgrad); one number, or a table.
        bias_correction: padam only.
        decoupled: padam only: weight decay apart from the gradient, as in adamw.
    """

    name: str = setting("the optimizer", choices=tuple(_OPTIMIZERS))
    lr: float = setting("learning rate", above=0)
    weight_decay: float | None = setting("weight decay", default=None, at_least=0)
    momentum: float | None = setting("momentum of sgd", default=None, at_least=0, below=1)
    nesterov: bool | None = setting("Nesterov momentum in sgd", default=None)
    betas: tuple[float, float] | None = setting("decay of the two means", default=None, at_least=0, below=1)
    eps: float | None = setting("what is added to the root of the second mean", default=None, at_least=0)
    amsgrad: bool | None = setting("use the largest second mean so far", default=None)
    p: float | MovingP | None = setting("partial adaptivity of padam", default=None, at_least=0, at_most=0.5)
    bias_correction: str | None = setting("bias correction of padam", default=None, choices=_CORRECTIONS)
    decoupled: bool | None = setting("weight decay of padam apart from the gradient", default=None)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Constants that this optimizer doesn't have, or refuses together."""
        allowed = inspect.signature(_OPTIMIZERS[self.name]).parameters
        for key in self._chosen():
            if key not in allowed:
                yield key, f"`{key}` is no constant of {self.name}; remove it"
        if self.name == "sgd" and self.nesterov and not self.momentum:
            yield "nesterov", "`nesterov` needs `momentum` above 0"
        if self.eps == 0 and self.name != "padam":
            yield "eps", f"`eps` is 0, which makes NaN of a zero gradient in {self.name}; give a number above 0"

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """The optimizer over these parameters."""
        return _OPTIMIZERS[self.name](parameters, **self._chosen())

    def listeners(self) -> list[Listener]:
        """What changes the optimizer's constants during training, besides the learning rate."""
        return [self.p.listener()] if isinstance(self.p, MovingP) else []

    def _chosen(self) -> dict[str, Any]:
        chosen = {key: value for key, value in vars(self).items() if key != "name" and value is not None}
        if isinstance(self.p, MovingP):
            chosen["p"] = self.p.from_
        return chosen
