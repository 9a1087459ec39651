"""[prune]: what the trained network may cost; it becomes small while it trains."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from linnet.engine.onnx.runtime import require
from linnet.prune import Budget, Pruner
from linnet.prune.budget import LIMITS, Runtime
from linnet.prune.importance.criterion import Criterion
from linnet.recipe.toml.setting import setting

_BUDGET = (*LIMITS, "batch", "threads", "runtime")


@dataclass(frozen=True)
class PruneSection:
    """A budget, and how `linnet.prune.Pruner` comes to keep it; what isn't set has the Pruner's own default.

    A limit up to 1 is a fraction of the whole network's cost, above 1 an amount.

    Attributes:
        macs: Multiply-accumulates of one image.
        params: Parameters.
        bytes: Bytes of parameters and buffers.
        peak_activation_bytes: Most bytes of activations alive at once, of one image.
        latency_ms: Milliseconds of one call on this machine, measured.
        batch: Images of that call.
        threads: Of that call.
        runtime: What runs it.
        align: Kept channels come in multiples of this.
        keep: Patterns of module paths that stay whole.
        limits: Pattern of module paths -> largest share of their channels that may stay.
        min_fraction: At least this share of every class of channels stays.
        warmup: Steps before the first mask: a fraction of the training, or above 1 a number of steps.
        freeze: When masks cease to move and the network becomes small, likewise.
        every: Steps between measurements.
        memory: How importances are averaged over measurements, by name.
        decay: The decay of that average for each measurement, in place of `memory`.
        criterion: What a channel's importance is computed from.
        select: Whether channels of all classes compete with one another.
        normalise: What the importances of a class are divided by.
        compact: When the network itself becomes small: at the freeze, on the way too, or only at the end.
        price: How a channel's importance is weighed against its cost.
        regrow: Measure masked channels too.
        export: "onnx": write the small network as an ONNX file too.
        compare: "dense": train the same recipe without pruning too, for the report's before and after.
    """

    macs: float | None = setting("multiply-accumulates of one image", default=None, above=0)
    params: float | None = setting("parameters", default=None, above=0)
    bytes: float | None = setting("bytes of parameters and buffers", default=None, above=0)
    peak_activation_bytes: float | None = setting("bytes of activations alive at once", default=None, above=0)
    latency_ms: float | None = setting("measured milliseconds of one call", default=None, above=0)
    batch: int | None = setting("images of the call that is measured", default=None, at_least=1)
    threads: int | None = setting("threads of the call that is measured", default=None, at_least=1)
    runtime: str | None = setting("what runs the call that is measured", default=None, choices=get_args(Runtime))
    align: int | None = setting("kept channels come in multiples of this", default=None, at_least=1)
    keep: tuple[str, ...] | None = setting("patterns of module paths that stay whole", default=None)
    limits: dict[str, float] | None = setting(
        "pattern of module paths -> largest share of channels", default=None, above=0, at_most=1
    )
    min_fraction: float | None = setting("share of every class that stays", default=None, at_least=0, at_most=1)
    warmup: float | None = setting("fraction (or number) of steps before the first mask", default=None, at_least=0)
    freeze: float | None = setting("fraction (or number) of steps until the masks stay", default=None, above=0)
    every: int | None = setting("steps between measurements", default=None, at_least=1)
    memory: str | None = setting("how importances are averaged", default=None, choices=("evaporate", "schedule", "ema"))
    decay: float | None = setting("decay of that average, in place of memory", default=None, at_least=0, at_most=1)
    criterion: str | None = setting("what importance is computed from", default=None, choices=get_args(Criterion))
    select: str | None = setting("where channels compete", default=None, choices=("global", "per_layer"))
    normalise: str | None = setting("what importances are divided by", default=None, choices=("max", "mean"))
    compact: str | None = setting(
        "when the network itself becomes small", default=None, choices=("auto", "progressive", "never")
    )
    price: str | None = setting("how importance is weighed against cost", default=None, choices=("auto", "none"))
    regrow: bool | None = setting("measure masked channels too", default=None)
    export: str | None = setting("another form of the small network", default=None, choices=("onnx",))
    compare: str | None = setting("what is trained beside it, to compare", default=None, choices=("dense",))

    def problems(self) -> Iterator[tuple[str, str]]:
        """A missing limit, or times that contradict each other."""
        if all(getattr(self, name) is None for name in LIMITS):
            names = ", ".join(f"`{name}`" for name in LIMITS)
            yield "macs", f"at least one of {names} must be given, such as macs = 0.3"
        for key in ("batch", "threads", "runtime"):
            if getattr(self, key) is not None and self.latency_ms is None:
                yield key, f"`{key}` belongs to `latency_ms`, which isn't given; remove it, or give latency_ms = 2.0"
        if self.memory is not None and self.decay is not None:
            yield "decay", "`decay` and `memory` can't both be given, since `memory` sets the decay; remove one of them"
        for key in ("warmup", "freeze"):
            value = getattr(self, key)
            if value is not None and value > 1 and not value.is_integer():
                yield key, f"`{key}` must be a fraction up to 1 or a whole number of steps (got {value:g})"

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What can't be combined with pruning."""
        optimizer, train = sections.get("optimizer"), sections.get("train")
        if optimizer is not None and optimizer.name == "natural":
            yield (
                "macs",
                (
                    'pruning needs the gradients of a backward pass, and [optimizer] "natural" makes none; choose '
                    "another"
                ),
            )
        if train is not None and train.early_stop is not None:
            yield (
                "macs",
                (
                    "it can't be combined with [train] `early_stop`, which goes back to an epoch of the larger "
                    "network; remove one"
                ),
            )

    def budget(self) -> Budget:
        """The limits.

        Raises:
            BudgetError: one isn't a positive number.
        """
        return Budget(**{name: value for name in _BUDGET if (value := getattr(self, name)) is not None})

    def pruner(self, model: nn.Module, example: Any, *, steps: int, rng_seed: int) -> Pruner:
        """The pruner of a network.

        Args:
            model: The network, before it is trained.
            example: One input.
            steps: Steps of the whole training.
            rng_seed: Seed of the random numbers.

        Raises:
            BudgetError: the budget can't be reached, or there is nothing to prune.
            InputError: `warmup` and `freeze` contradict each other.
            MissingExtra: what `export` needs isn't installed.
        """
        if self.export is not None:
            require("onnx", "onnxscript", "onnxruntime")
        options: dict[str, Any] = {key: value for key, value in vars(self).items() if value is not None}
        for key in (*_BUDGET, "compare", "export"):
            options.pop(key, None)
        if "decay" in options:
            options["memory"] = options.pop("decay")
        if self.compact == "never":
            options["compact"] = False
        times: dict[str, Any] = {key: _time(options.pop(key)) for key in ("warmup", "freeze") if key in options}
        return Pruner(model, example, self.budget(), steps=steps, rng_seed=rng_seed, **options, **times)

    def choices(self) -> dict[str, Any]:
        """What may be pruned, as `linnet.prune.plan` takes it."""
        known = ("align", "keep", "limits", "min_fraction", "select")
        return {name: getattr(self, name) for name in known if getattr(self, name) is not None}


def _time(value: float) -> float:
    """A fraction as it is; above 1 a whole number of steps."""
    return int(value) if value > 1 else value
