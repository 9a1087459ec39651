"""[optimizer]: which optimizer, and its constants."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from linnet.engine import GroupSchedule, Listener
from linnet.engine.listeners.group_schedule import Shape
from linnet.errors import InputError
from linnet.optim import NaturalGradient, Padam
from linnet.recipe.sections.natural_rules import natural_conflicts, natural_problems
from linnet.recipe.toml.setting import setting

_OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = MappingProxyType(
    {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "padam": Padam,
        "natural": NaturalGradient,
    }
)
_APPROXIMATIONS = ("exact", "block", "tridiagonal", "kfac", "unit")
_UNCOVERED = ("raise", "gradient", "adam", "padam")
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
        lr: Learning rate at factor 1 of the schedule. natural: c of eta = c / alpha, unless `absolute`.
        weight_decay: As torch defines it for that optimizer.
        momentum: sgd and natural.
        nesterov: sgd only.
        betas: adam, adamw and padam.
        eps: adam, adamw and padam; 0 for padam only.
        amsgrad: adam, adamw and padam: use the largest second mean so far.
        p: padam only: partial adaptivity, from 0 (SGD with momentum) to 1/2 (Amsgrad); one number, or a table.
        bias_correction: padam only.
        decoupled: padam only: weight decay apart from the gradient, as in adamw.
        absolute: natural only, like all that follow: `lr` is eta itself.
        approx: Which approximation of the Fisher matrix; this and the next as `linnet.optim.NaturalGradient` has them.
        fisher: Whose second moment.
        damping: rho, on the scale of J J^T / N.
        kl_clip: Largest squared length of a step in the metric.
        factor_every: Steps between refreshes of factors.
        inverse_every: Steps between refreshes of their inverses.
        ema: Decay of the running mean of factors.
        dense_start: Whether both are refreshed at steps 1, 2, 4, 8, ... as well.
        stop_above: Multiple of its start at which the loss stops the run.
        adapt_damping: Whether the damping follows how well the step was predicted.
        isotropy_every: Steps between measurements of the isotropy error.
        solve_rows: Largest dense solve.
        uncovered: What happens to a parameter without curvature.
        side_lr: Rate of those that follow Adam or Padam.
        sharing: How factors treat positions.
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

    absolute: bool | None = setting("lr of natural is eta itself, not c", default=None)
    approx: str | None = setting("approximation of natural", default=None, choices=_APPROXIMATIONS)
    fisher: str | None = setting("Fisher kind of natural", default=None, choices=("model", "sampled", "empirical"))
    damping: float | None = setting("damping of natural", default=None, at_least=0)
    kl_clip: float | None = setting("largest squared length of a step of natural", default=None, above=0)
    factor_every: int | None = setting("steps between refreshes of factors", default=None, at_least=1)
    inverse_every: int | None = setting("steps between refreshes of inverses", default=None, at_least=1)
    ema: float | None = setting("decay of the running mean of factors", default=None, at_least=0, below=1)
    dense_start: bool | None = setting("refreshes at steps 1, 2, 4, 8, ... as well", default=None)
    stop_above: float | None = setting("multiple of its start at which the loss stops natural", default=None, above=0)
    adapt_damping: bool | None = setting("the damping follows the prediction", default=None)
    isotropy_every: int | None = setting("steps between measurements of isotropy", default=None, at_least=0)
    solve_rows: int | None = setting("largest dense solve of natural", default=None, at_least=1)
    uncovered: str | None = setting("parameters without curvature", default=None, choices=_UNCOVERED)
    side_lr: float | None = setting("rate of the parameters without curvature", default=None, at_least=0)
    sharing: str | None = setting("how factors treat positions", default=None, choices=("expand", "reduce"))

    def problems(self) -> Iterator[tuple[str, str]]:
        """Settings that this optimizer doesn't have, or that contradict each other."""
        allowed = inspect.signature(_OPTIMIZERS[self.name]).parameters
        for key in self._chosen():
            if key not in allowed and not (key == "absolute" and self.name == "natural"):
                yield key, f"`{key}` isn't a setting of {self.name}; remove it"
        if self.name == "natural" and not self.absolute and self.lr >= 2:
            yield (
                "lr",
                (
                    f"`lr` must be below 2 for natural, where it is c of eta = c / alpha (got {self.lr:g}); lower it "
                    "or set absolute = true"
                ),
            )
        if self.name == "sgd" and self.nesterov and not self.momentum:
            yield "nesterov", "`nesterov` needs `momentum` above 0"
        if self.eps == 0 and self.name != "padam":
            yield "eps", f"`eps` must be above 0 for {self.name} (got 0), or a zero gradient gives NaN"
        if self.name == "natural":
            yield from natural_problems(self)

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What natural gradient can't be combined with."""
        if self.name == "natural":
            yield from natural_conflicts(self, sections.get("train"), sections.get("model"))

    def build(self, model: nn.Module, *, loss: str | None) -> torch.optim.Optimizer:
        """The optimizer of a network.

        Args:
            model: The network.
            loss: The task's, as natural gradient names it; None where it has no name there.

        Raises:
            InputError: natural gradient doesn't know the task's loss, or its settings contradict each other.
        """
        chosen = self._chosen()
        if self.name != "natural":
            return _OPTIMIZERS[self.name](model.parameters(), **chosen)
        if loss is None:
            raise InputError(
                'The optimizer "natural" needs the loss mse or cross_entropy, and this task has another. Choose '
                '"sgd", "adamw" or "padam".'
            )
        rate = chosen.pop("lr")
        step = {"lr": rate} if chosen.pop("absolute", False) else {"c": rate}
        return NaturalGradient(model, loss=loss, **step, **chosen)  # pyright: ignore[reportArgumentType]

    def listeners(self) -> list[Listener]:
        """The listeners that change the optimizer's settings during training, besides the learning rate."""
        return [self.p.listener()] if isinstance(self.p, MovingP) else []

    def _chosen(self) -> dict[str, Any]:
        chosen = {key: value for key, value in vars(self).items() if key != "name" and value is not None}
        if isinstance(self.p, MovingP):
            chosen["p"] = self.p.from_
        return chosen
