"""Importance without data, computed from the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from torch import nn

from linnet.arrays import Floats
from linnet.core import ChannelClass, ChannelGraph
from linnet.errors import BudgetError, InputError
from linnet.suggest import one_of

Normalise = Literal["max", "mean"]
"""What the importances of a class are divided by, so that classes can compete."""


def importances_from_weights(
    model: nn.Module,
    graph: ChannelGraph,
    names: tuple[str, ...],
    criterion: str,
    *,
    rng_seed: int = 0,
    normalise: Normalise = "max",
) -> dict[str, Floats]:
    """Importances of channel classes, each class divided by its largest or its mean.

        l1        sum of |w| over the rows of all weights that make the channel
        bn_scale  sum of |gamma| over the batch norms that scale it
        random    uniform in (0, 1)

    Args:
        model: The unwrapped network of the graph.
        graph: Its channel graph.
        names: The classes.
        criterion: One of the three.
        rng_seed: For "random".
        normalise: What each class is divided by: its "max" or its "mean".

    Returns:
        Class name -> (size,).

    Raises:
        InputError: the criterion is unknown, or a weight isn't finite.
        BudgetError: "bn_scale" of a class that no batch norm scales.
    """
    one_of("criterion", criterion, tuple(_CRITERIA))
    draw = np.random.default_rng(rng_seed)
    return {name: scaled(_CRITERIA[criterion](model, graph.classes[name], draw), by=normalise) for name in names}


def scaled(importances: Floats, *, by: Normalise = "max") -> Floats:
    """Divided by the largest, or by the mean; as they are when all are 0.

    By the largest, one outstanding channel makes all others of its class small; by the mean it does so less.
    """
    size = importances.max(initial=0.0) if by == "max" or not len(importances) else importances.mean()
    return importances / size if size > 0 else importances


def _l1(model: nn.Module, known: ChannelClass, draw: np.random.Generator) -> Floats:
    total = np.zeros(known.size)
    for slot in known.slots:
        if slot.role == "produce":
            weight = model.get_parameter(slot.tensor) if _is_parameter(model, slot.tensor) else None
            if weight is not None and weight.ndim > 1:
                total += _by_channel(weight, slot.axis)[slot.index].sum(axis=1)
    return total


def _bn_scale(model: nn.Module, known: ChannelClass, draw: np.random.Generator) -> Floats:
    total, found = np.zeros(known.size), False
    for slot in known.slots:
        path, _, leaf = slot.tensor.rpartition(".")
        if leaf == "weight" and isinstance(model.get_submodule(path), nn.modules.batchnorm._BatchNorm):
            total += _by_channel(model.get_parameter(slot.tensor), slot.axis)[slot.index].sum(axis=1)
            found = True
    if not found:
        raise BudgetError(
            f"`bn_scale` needs a batch norm that scales `{known.name}`, and there is none. Use criterion='l1', or "
            f"keep=[{known.name!r}]."
        )
    return total


def _random(model: nn.Module, known: ChannelClass, draw: np.random.Generator) -> Floats:
    return draw.random(known.size)


def _is_parameter(model: nn.Module, name: str) -> bool:
    path, _, leaf = name.rpartition(".")
    return leaf in model.get_submodule(path)._parameters


def _by_channel(weight: torch.Tensor, axis: int) -> Floats:
    """Sum of |w| over all other axes."""
    rest = [other for other in range(weight.ndim) if other != axis]
    magnitude = weight.detach().abs()
    summed = (magnitude.sum(dim=rest, dtype=torch.float64) if rest else magnitude.double()).cpu().numpy()
    if not np.isfinite(summed).all():
        raise InputError(
            "Channels can't be ranked by their weights, because a weight is NaN or infinite. Train from finite weights."
        )
    return summed


_CRITERIA: Mapping[str, Callable[[nn.Module, ChannelClass, np.random.Generator], Floats]] = MappingProxyType(
    {"l1": _l1, "bn_scale": _bn_scale, "random": _random}
)
