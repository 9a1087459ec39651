"""The ablation: one option of the pruner at a time, on images held out of the training set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from papers.qi2021_pruning.scales import Scale, Target

TWO_LIMITS = Target("two limits", 0.25, 0.1)


@dataclass(frozen=True)
class Variant:
    """Our pruner with other options.

    Attributes:
        label: As tables name it.
        options: Of `Pruner`.
        baseline: Key of what it is compared with.
        two_limits: Whether parameters are limited too.
        first: Whether it is run before the others: the defaults that differ from the predecessor's rest on it.
    """

    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    baseline: str = "default"
    two_limits: bool = False
    first: bool = False


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "default": Variant(
            "the defaults: memory a running mean, classes divided by their mean", baseline="", first=True
        ),
        "as_known": Variant(
            "as the predecessor: memory 0.6, classes divided by their maximum",
            {"memory": "evaporate", "normalise": "max"},
            first=True,
        ),
        "memory_evaporate": Variant("memory: 0.6", {"memory": "evaporate"}, first=True),
        "memory_95": Variant("memory: 0.95", {"memory": 0.95}),
        "memory_schedule": Variant("memory: 0.6, +0.1 at each drop of the rate", {"memory": "schedule"}),
        "normalise_max": Variant("classes divided by their maximum", {"normalise": "max"}, first=True),
        "every_1": Variant("measured at every step", {"every": 1}),
        "every_8": Variant("measured at every 8th step", {"every": 8}),
        "freeze_30": Variant("frozen at 30 % of the steps", {"freeze": 0.3}),
        "freeze_95": Variant("frozen at 95 % of the steps", {"freeze": 0.95}),
        "two_limits": Variant("two limits, price auto", {"shape": "utility"}, baseline="", two_limits=True),
        "two_limits_no_price": Variant("two limits, no price", {"price": "none"}, "two_limits", two_limits=True),
        "regrow": Variant("masked channels are measured too", {"regrow": True}),
        "l1": Variant("criterion: L1 norm", {"criterion": "l1"}),
        "bn_scale": Variant("criterion: scale of the batch norm", {"criterion": "bn_scale"}),
        "bn_taylor": Variant("criterion: Taylor, summed over the batch", {"criterion": "bn_taylor"}),
        "random": Variant("criterion: random", {"criterion": "random"}),
        "align_1": Variant("widths: any", {"align": 1}),
        "align_8": Variant("widths: multiples of 8", {"align": 8}),
        "per_layer": Variant("one share for all layers", {"select": "per_layer"}),
        "two_limits_rank": Variant(
            "two limits, widths by the ranks of layers", {"shape": "rank"}, "two_limits", two_limits=True
        ),
        "two_limits_uniform": Variant(
            "two limits, one share for all layers", {"shape": "uniform"}, "two_limits", two_limits=True
        ),
        "rank": Variant("widths by the ranks of layers", {"shape": "rank"}),
        "rank_freeze_10": Variant(
            "widths by rank, chosen at 10 % of the steps", {"shape": "rank", "warmup": 0.05, "freeze": 0.1}, "rank"
        ),
        "rank_freeze_35": Variant("widths by rank, frozen at 35 %", {"shape": "rank", "freeze": 0.35}, "rank"),
        "rank_at_once": Variant(
            "widths by rank, masked and frozen at once at half of the steps",
            {"shape": "rank", "warmup": 0.49, "freeze": 0.5},
            "rank",
        ),
    }
)
"""The defaults, and what is changed of them."""


def target(variant: Variant, scale: Scale) -> Target:
    """The budget of a variant: the first one of the scale, or two limits."""
    return TWO_LIMITS if variant.two_limits else scale.budgets[0]


def variants(scale: Scale, *, early: bool | None = None) -> list[str]:
    """Keys of those that take part; only those of the first part, or of the second."""
    taken = [key for key in VARIANTS if not scale.variants or key in scale.variants]
    return [key for key in taken if early is None or VARIANTS[key].first == early]


def images(scale: Scale) -> str:
    """The set: the last one of the scale."""
    return scale.sets[-1]
