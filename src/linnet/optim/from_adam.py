"""Padam that goes on where an Adam stands."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from linnet.errors import InputError
from linnet.optim.padam_state import adopted, require_fitting

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
)


def continued(kind: Any, adam: Optimizer, overrides: Mapping[str, Any]) -> Any:
    """See `Padam.from_adam`."""
    known = [name for name in inspect.signature(kind).parameters if name != "params"]
    for name in overrides:
        if name not in known:
            raise InputError(f"`{name}` is no argument of Padam. Choose of {', '.join(known)}.")
    require_fitting(adam.state_dict(), adam.param_groups)
    given = {"decoupled_weight_decay" if name == "decoupled" else name for name in overrides}
    groups = [_group(group, given) for group in adam.param_groups]
    padam = kind(groups, **overrides)
    if "lr" not in overrides and any(group["p"] < 0.5 for group in padam.param_groups):
        warnings.warn(
            f"The learning rate {float(adam.param_groups[0]['lr']):g} was Adam's; p = {padam.param_groups[0]['p']:g} "
            "wants a larger one (0.1 at p = 1/8 where Adam had 0.001): give `lr`.",
            UserWarning,
            stacklevel=3,
        )
    for group in padam.param_groups:
        for x in group["params"]:
            if adam.state.get(x):
                padam.state[x] = adopted(adam.state[x], x, group)
    return padam


def _group(group: Mapping[str, Any], given: set[str]) -> dict[str, Any]:
    """A group of Padam with Adam's parameters, names and those settings that nobody overrides."""
    kept = {key: group[key] for key in _GROUP_KEYS if key in group and key not in given}
    if "param_names" in group:
        return kept | {"params": list(zip(group["param_names"], group["params"], strict=True))}
    return kept | {"params": list(group["params"])}
