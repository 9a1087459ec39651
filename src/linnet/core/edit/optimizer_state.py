"""Optimizer state follows an edit: index, times a power of the share on produced axes.

Widening multiplies the gradient of a produced row by its copy's share r (each copy sees only its part of the
consumers), so a running mean of gradients is multiplied by r, one of squares by r^2. Narrowing only picks (all
shares are 1).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.edit.edit_plan import AxisEdit, Edit
from linnet.core.edit.index_tensors import edited
from linnet.errors import OptimizerStateError

MOMENTS = {"exp_avg": 1, "exp_avg_sq": 2, "max_exp_avg_sq": 2}
WEIGHT = "weight"  # transforms like the weight itself
RESET = "reset"  # no power is right: 0 on widened tensors
# State tensors of the weight's shape, by optimizer: power of the share on produced axes.
POWERS: dict[str, dict[str, int | str]] = {
    "SGD": {"momentum_buffer": 1},
    "Muon": {"momentum_buffer": 1},
    "Adam": {**MOMENTS},
    "AdamW": {**MOMENTS},
    "NAdam": {**MOMENTS},
    "RAdam": {**MOMENTS},
    "Padam": {**MOMENTS},
    "NaturalGradient": {"momentum_buffer": WEIGHT, "previous": WEIGHT},  # directions: the function moves as before
    "Adagrad": {"sum": 2},
    "ASGD": {"ax": WEIGHT},
    "Rprop": {"prev": 1, "step_size": 0},
    "Adamax": {"exp_avg": 1, "exp_inf": 1},
    "RMSprop": {"square_avg": 2, "grad_avg": 1, "momentum_buffer": 0},
    "Adadelta": {"square_avg": 2, "acc_delta": RESET},
    "Adafactor": {"variance": 2},
}
# Means over rows and columns (Adafactor): what stays of them is picked when a network is narrowed.
FACTORED = ("row_var", "col_var")
APPROXIMATE = {
    ("Adamax", "exp_inf"): "`exp_inf` is carried approximately: Adamax adds eps inside its maximum",
    ("RMSprop", "momentum_buffer"): "`momentum_buffer` is carried approximately: it holds normalised steps",
    ("Adadelta", "acc_delta"): "`acc_delta` starts again at 0 on widened tensors: no power of the share fits it",
}
DECOUPLED = ("AdamW", "Muon", "NaturalGradient")


class FollowsEdits(ABC):
    """An optimizer that holds more than its groups and the state of each parameter: the network itself, for one."""

    @abstractmethod
    def after_edit(self, old: nn.Module, new: nn.Module, edit: Edit) -> Callable[[], None]:
        """Finds what it holds after an edit and gives the function that puts it in; nothing is changed yet.

        Args:
            old: The network before the edit.
            new: The network after it.
            edit: The edit.

        Raises:
            OptimizerStateError: something can't follow.
        """


class ApproximateState(UserWarning):
    """Optimizer state is carried over an edit only approximately."""


@dataclass(frozen=True)
class NextState:
    """An optimizer's parameters and state after an edit, ready to be put in.

    Attributes:
        groups: For each parameter group its new parameters.
        state: New parameter -> its state.
        then: Puts in what else the optimizer holds.
    """

    groups: list[list[Tensor]]
    state: dict[Tensor, dict[str, Any]]
    then: Callable[[], None] | None = None

    def put_into(self, optimizer: torch.optim.Optimizer) -> None:
        """Swap parameters and state; the optimizer object, its groups and their settings stay.

        After any exception, an interrupt included, both are as before.
        """
        before = [group["params"] for group in optimizer.param_groups], dict(optimizer.state)
        try:
            _put(optimizer, self.groups, self.state)
            if self.then is not None:
                self.then()
        except BaseException:
            _put(optimizer, *before)
            raise


def _put(optimizer: torch.optim.Optimizer, groups: list[list[Tensor]], state: Mapping[Any, Any]) -> None:
    for group, parameters in zip(optimizer.param_groups, groups, strict=True):
        group["params"] = parameters
    optimizer.state.clear()
    optimizer.state.update(state)


def next_state(
    optimizer: torch.optim.Optimizer,
    old: nn.Module,
    new: nn.Module,
    edit: Edit,
    *,
    state_powers: Mapping[str, int] | None = None,
) -> NextState:
    """What an optimizer holds after an edit; nothing is changed yet.

    Args:
        optimizer: Any of `torch.optim`, or `linnet.optim.Padam`.
        old: The network before the edit, whose parameters the optimizer holds.
        new: The network after it.
        edit: The edit.
        state_powers: State key -> power of the share on produced axes, for keys that the table doesn't know.

    Returns:
        The next parameters and state.

    Raises:
        OptimizerStateError: foreign parameters, or state that the table of powers doesn't know.

    Warns:
        ApproximateState: once for each approximate row, and for coupled weight decay, when the edit widens.

    Source:
        ours (derived and measured for each optimizer of the table).
    """
    table = _table(optimizer, state_powers or {})
    after = dict(new.named_parameters())
    names = {id(parameter): name for name, parameter in old.named_parameters()}
    groups: list[list[Tensor]] = []
    state: dict[Tensor, dict[str, Any]] = {}
    used: set[str] = set()
    for number, group in enumerate(optimizer.param_groups):
        groups.append([])
        for parameter in group["params"]:
            name = names.get(id(parameter))
            if name is None:
                raise OptimizerStateError(
                    f"`optimizer` must hold this model's parameters only (its group {number} has another one of "
                    f"size {tuple(parameter.shape)}). Make an optimizer for the others."
                )
            groups[-1].append(after[name])
            if parameter in optimizer.state:
                axes = edit.axes.get(name, ())
                held = optimizer.state[parameter]
                state[after[name]] = {k: _moved(k, v, parameter, name, axes, table, used) for k, v in held.items()}
    then = optimizer.after_edit(old, new, edit) if isinstance(optimizer, FollowsEdits) else None
    if edit.widens:
        _warn(optimizer, used)
    return NextState(groups, state, then)


def _table(optimizer: torch.optim.Optimizer, taught: Mapping[str, int]) -> dict[str, int | str]:
    names = [kind.__name__ for kind in type(optimizer).__mro__]
    if "LBFGS" in names:
        raise OptimizerStateError(
            "`optimizer` can't be LBFGS, whose flat state over all parameters can't follow an edit. Make a new LBFGS."
        )
    known = next((POWERS[name] for name in names if name in POWERS), {})
    return {**known, **taught}


def _moved(
    key: str,
    held: Any,
    parameter: Tensor,
    name: str,
    axes: tuple[AxisEdit, ...],
    table: Mapping[str, int | str],
    used: set[str],
) -> Any:
    if not isinstance(held, Tensor):
        if isinstance(held, (list, tuple, dict)) and len(held):
            raise OptimizerStateError(_unknown(key, name, f"a {type(held).__name__}"))
        return held
    if held.shape != parameter.shape or (key not in table and held.ndim == 0):
        if held.numel() == 1:
            return held.clone()
        if key in FACTORED and not any(edit.share is not None for edit in axes):
            return _factor(held, parameter, axes)
        raise OptimizerStateError(_unknown(key, name, f"a tensor of size {tuple(held.shape)}"))
    if not axes:
        return held.clone()
    if key not in table:
        raise OptimizerStateError(_unknown(key, name, "of the weight's size"))
    power = table[key]
    used.add(key)
    if power == WEIGHT:
        return edited(held, axes)
    if power == RESET:
        moved = edited(held, axes, powers=())
        return torch.zeros_like(moved) if any(edit.share is not None for edit in axes) else moved
    return edited(held, axes, powers=(("produce", int(power)),))


def _factor(held: Tensor, parameter: Tensor, axes: tuple[AxisEdit, ...]) -> Tensor:
    """A mean over some axes of a weight, with what stays on the others."""
    if held.ndim != parameter.ndim:
        sizes = f"{tuple(held.shape)} and {tuple(parameter.shape)}"
        raise OptimizerStateError(f"A factored state must have as many axes as its weight (got {sizes}).")
    kept = tuple(edit for edit in axes if held.shape[edit.axis] == parameter.shape[edit.axis])
    return edited(held, kept)


def _unknown(key: str, name: str, what: str) -> str:
    return (
        f"`{name}`: the optimizer's state `{key}` ({what}) has no known way through an edit. A "
        f"running mean of gradients has "
        f"power 1, one of squares 2: resize(..., state_powers={{{key!r}: 1}}); or edit before the optimizer is made."
    )


def _warn(optimizer: torch.optim.Optimizer, used: set[str]) -> None:
    names = [kind.__name__ for kind in type(optimizer).__mro__]
    row = next((name for name in names if name in POWERS), "")
    for (name, key), words in APPROXIMATE.items():
        if name == row and key in used:
            warnings.warn(f"{name}: {words}.", ApproximateState, stacklevel=4)
    if row in DECOUPLED:
        return
    for group in optimizer.param_groups:
        decoupled = group.get("decoupled_weight_decay") or group.get("decoupled")
        if group.get("weight_decay") and not decoupled:
            warnings.warn(
                f"{row or names[0]} adds weight_decay = {group['weight_decay']} to the gradient, and "
                f"that part doesn't follow "
                "the share: its state is carried approximately. Decoupled decay (AdamW) is carried exactly.",
                ApproximateState,
                stacklevel=4,
            )
            return
