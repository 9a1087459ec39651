"""[prune]: what the trained network may cost; it becomes small while it trains."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from linnet.prune import Budget, Pruner
from linnet.prune.criterion import Criterion
from linnet.recipe.setting import setting

_LIMITS = ("macs", "params", "bytes", "peak_activation_bytes")


@dataclass(frozen=True)
class PruneSection:
    """A budget, and how `linnet.prune.Pruner` comes to keep it; what isn't set has the Pruner's own default.

    A limit up to 1 is a fraction of the whole network's cost, above 1 an amount.

    Attributes:
        macs: Multiply-accumulates of one image.
        params: Parameters.
        bytes: Bytes of parameters and buffers.
        peak_activation_bytes: Most bytes of activations alive at once, of one image.
        align: Kept channels come in multiples of this.
        keep: Patterns of module paths that stay whole.
        limits: Pattern of module paths -> largest share of their channels that may stay.
        min_fraction: At least this share of every class of channels stays.
        warmup: Steps before the first mask: a fraction of the training, or above 1 a number of steps.
        freeze: When masks cease to move and the network becomes small, likewise.
        every: Steps between measurements.
        memory: How utilities are remembered, by name.
        decay: Their decay for each measurement, in place of `memory`.
        criterion: What a channel's utility is made of.
        select: Whether channels of all classes are set against one another.
        price: How channels are set against their cost.
        regrow: Measure masked channels too.
        compare: "dense": train the same recipe without pruning too, for the report's before and after.
    """

    macs: float | None = setting("multiply-accumulates of one image", default=None, above=0)
    params: float | None = setting("parameters", default=None, above=0)
    bytes: float | None = setting("bytes of parameters and buffers", default=None, above=0)
    peak_activation_bytes: float | None = setting("bytes of activations alive at once", default=None, above=0)
    align: int | None = setting("kept channels come in multiples of this", default=None, at_least=1)
    keep: tuple[str, ...] | None = setting("patterns of module paths that stay whole", default=None)
    limits: dict[str, float] | None = setting(
        "pattern of module paths -> largest share of channels", default=None, above=0, at_most=1
    )
    min_fraction: float | None = setting("share of every class that stays", default=None, at_least=0, at_most=1)
    warmup: float | None = setting("fraction (or number) of steps before the first mask", default=None, at_least=0)
    freeze: float | None = setting("fraction (or number) of steps until the masks stay", default=None, above=0)
    every: int | None = setting("steps between measurements", default=None, at_least=1)
    memory: str | None = setting("how utilities are remembered", default=None, choices=("evaporate", "schedule", "ema"))
    decay: float | None = setting("decay of the utilities, in place of memory", default=None, at_least=0, at_most=1)
    criterion: str | None = setting("what a utility is made of", default=None, choices=get_args(Criterion))
    select: str | None = setting("what channels are set against", default=None, choices=("global", "per_layer"))
    price: str | None = setting("how channels are set against their cost", default=None, choices=("auto", "none"))
    regrow: bool | None = setting("measure masked channels too", default=None)
    compare: str | None = setting("what is trained beside it, to compare", default=None, choices=("dense",))

    def problems(self) -> Iterator[tuple[str, str]]:
        """No limit, or times that don't go together."""
        if not self._limits():
            names = ", ".join(f"`{name}`" for name in _LIMITS)
            yield "macs", f"no limit is given; at least one of {names} is needed, such as macs = 0.3"
        if self.memory is not None and self.decay is not None:
            yield "decay", "`decay` is given and so is `memory`, which has one of its own; remove one of them"
        for key in ("warmup", "freeze"):
            value = getattr(self, key)
            if value is not None and value > 1 and not value.is_integer():
                yield key, f"`{key}` is {value:g}; a fraction up to 1, or a whole number of steps, is needed"

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What can't be done together with pruning."""
        optimizer, train = sections.get("optimizer"), sections.get("train")
        if optimizer is not None and optimizer.name == "natural":
            yield "macs", 'it needs the gradients of a backward pass, and [optimizer] has "natural"; choose another'
        if train is not None and train.early_stop is not None:
            yield "macs", "[train] `early_stop` would go back to an epoch of the larger network; remove it"

    def budget(self) -> Budget:
        """The limits.

        Raises:
            BudgetError: one isn't a positive number.
        """
        return Budget(**self._limits())

    def pruner(self, model: nn.Module, example: Any, *, steps: int, rng_seed: int) -> Pruner:
        """The pruner of a network.

        Args:
            model: The network, before it is trained.
            example: One input.
            steps: Steps of the whole training.
            rng_seed: Of what is drawn.

        Raises:
            BudgetError: the budget can't be reached, or there is nothing to prune.
            InputError: times of `warmup` and `freeze` that don't go together.
        """
        options: dict[str, Any] = {key: value for key, value in vars(self).items() if value is not None}
        for key in (*_LIMITS, "compare"):
            options.pop(key, None)
        if "decay" in options:
            options["memory"] = options.pop("decay")
        times: dict[str, Any] = {key: _time(options.pop(key)) for key in ("warmup", "freeze") if key in options}
        return Pruner(model, example, self.budget(), steps=steps, rng_seed=rng_seed, **options, **times)

    def _limits(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in _LIMITS if getattr(self, name) is not None}


def _time(value: float) -> float:
    """A fraction as it is; above 1 a whole number of steps."""
    return int(value) if value > 1 else value
