"""Padam that goes on where an Adam stands, and the warning that a rate of Adam is too small for it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from linnet.errors import InputError
from linnet.optim.padam.state import adopted, require_fitting

_GROUP_KEYS = (
    "lr",
    "betas",
    "eps",
    "weight_decay",
    "amsgrad",
    "maximize",
    "capturable",
    "differentiable",
    "decoupled_weight_decay",
    "p",
    "bias_correction",
    "rounding_seed",
)
_OF_ARGUMENT = {"decoupled": "decoupled_weight_decay", "stochastic_rounding": "rounding_seed"}


def continued(kind: Any, adam: Optimizer, overrides: Mapping[str, Any]) -> Any:
    """See `Padam.from_adam`."""
    known = [name for name in inspect.signature(kind).parameters if name != "params"]
    for name in overrides:
        if name not in known:
            raise InputError(f"`{name}` isn't an argument of Padam. Give one of {', '.join(known)}, or leave it out.")
    require_fitting(adam.state_dict(), adam.param_groups)
    given = {_OF_ARGUMENT.get(name, name) for name in overrides}
    groups = [_group(group, given) for group in adam.param_groups]
    padam = kind(groups, **overrides)
    if "lr" not in overrides:
        warn_of_rate(adam.param_groups, padam.param_groups, stacklevel=4)
    for group in padam.param_groups:
        for x in group["params"]:
            if adam.state.get(x):
                padam.state[x] = adopted(adam.state[x], x, group)
    return padam


def warn_of_rate(theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], *, stacklevel: int) -> None:
    """Warns once when a learning rate, Adam's or that of a larger p, is now used at a smaller p.

    Args:
        theirs: Groups of the former optimizer; without a `p` they are Adam's, which is p = 1/2.
        ours: The groups of Padam that took their rates.
        stacklevel: Of the warning.
    """
    for before, now in zip(theirs, ours, strict=True):
        if now["p"] < before.get("p", 0.5):
            adam = "AdamW's" if before.get("decoupled_weight_decay") else "Adam's"
            whose = f"that of p = {before['p']:g}" if "p" in before else adam
            warnings.warn(
                f"The learning rate {float(before['lr']):g} was {whose}; p = {now['p']:g} needs a larger one (0.1 at "
                "p = 1/8 where Adam had 0.001). Give `lr`, or set `lr` of the groups after loading.",
                UserWarning,
                stacklevel=stacklevel,
            )
            return


def _group(group: Mapping[str, Any], given: set[str]) -> dict[str, Any]:
    """A group of Padam with Adam's parameters, names and those settings that nobody overrides."""
    kept = {key: group[key] for key in _GROUP_KEYS if key in group and key not in given}
    if "param_names" in group:
        return kept | {"params": list(zip(group["param_names"], group["params"], strict=True))}
    return kept | {"params": list(group["params"])}
