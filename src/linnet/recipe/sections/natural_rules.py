"""Rules between the settings of natural gradient in a recipe, and between them, [train] and [model]."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from linnet import models
from linnet.core.jacobian.linearisation import coupling
from linnet.errors import InputError
from linnet.optim import NaturalGradient

_BY_BATCH = "takes whole batches"


def natural_problems(section: Any) -> Iterator[tuple[str, str]]:
    """Settings of [optimizer] that contradict each other: (key, complaint).

    Args:
        section: An `OptimizerSection` of name "natural".
    """
    approx, fisher = section.approx or "exact", section.fisher or "model"
    if section.adapt_damping:
        yield (
            "adapt_damping",
            "`adapt_damping` must be left out in a recipe: it measures the loss again after a step on the same batch, "
            "which only opt.step(x, y) of your own loop does",
        )
    if approx == "kfac" and section.damping == 0:
        yield "damping", '`damping` must be above 0, such as 0.01, for approx = "kfac" in a recipe (got 0)'
    if section.momentum and approx in ("exact", "block") and fisher != "model":
        yield (
            "momentum",
            f'`momentum` with approx = "{approx}" needs fisher = "model" (got "{fisher}"); remove it, or set approx = '
            '"kfac"',
        )


def natural_conflicts(section: Any, train: Any, model: Any) -> Iterator[tuple[str, str]]:
    """What the settings of natural gradient can't be combined with: (key, complaint).

    Args:
        section: An `OptimizerSection` of name "natural".
        train: The `TrainSection`, or None where it is faulty itself.
        model: The section of the network, likewise.
    """
    approx = section.approx or "exact"
    if approx != "kfac" and train is not None:
        if train.grad_clip is not None:
            yield (
                "approx",
                f'approx = "{approx}" {_BY_BATCH} and can\'t be combined with [train] `grad_clip`; remove that, or set '
                'approx = "kfac"',
            )
        if train.precision == "float16":
            yield (
                "approx",
                f'approx = "{approx}" {_BY_BATCH} and can\'t be combined with [train] precision = "float16"; set '
                '"float32" or "bfloat16", or approx = "kfac"',
            )
    network = _network(model)
    if network is None:
        return
    if approx != "kfac":
        for path, why in coupling(network).items():
            yield (
                "approx",
                f'approx = "{approx}" needs each output to depend on its sample alone, but `{path}` of [model] '
                f'"{model.name}": {why}; set approx = "kfac", or choose another network',
            )
            return
    chosen = {key: value for key in _CHECKED if (value := getattr(section, key)) is not None}
    try:
        NaturalGradient(network, "cross_entropy", **chosen)
    except InputError as refusal:
        said = str(refusal).rstrip(".")
        yield next((key for key in chosen if f"`{key}`" in said), "approx" if "approx" in chosen else "name"), said


_CHECKED = (
    "approx",
    "fisher",
    "damping",
    "kl_clip",
    "factor_every",
    "inverse_every",
    "ema",
    "dense_start",
    "stop_above",
    "isotropy_every",
    "solve_rows",
    "uncovered",
    "sharing",
)


def _network(model: Any) -> nn.Module | None:
    """The network of [model] without its weights; None where it isn't one of `linnet.models` that can be made so."""
    options = getattr(model, "options", None)
    if options is None or getattr(model, "name", None) not in models.names():
        return None
    with torch.device("meta"):
        return models.create(model.name, **options()).train()
