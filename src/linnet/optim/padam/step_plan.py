"""From parameter groups to tensors and numbers that step together, checked before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from linnet.errors import TrainingError
from linnet.optim.padam.kernels.denominator import may_vanish
from linnet.optim.padam.kernels.function import advanced
from linnet.optim.padam.numbers import Numbers, Slot, numbers_of
from linnet.optim.padam.reduced_precision import stream_key
from linnet.optim.padam.state import new_state


def require_gradients(group: Mapping[str, Any], state: Mapping[Tensor, Any], index: int) -> None:
    """Refuses gradients and state that a step can't use.

    Args:
        group: A parameter group.
        state: The optimizer's.
        index: The group's number, for messages.

    Raises:
        TrainingError: a gradient is sparse or of another shape or device, or state is of another shape.
    """
    for number, x in enumerate(group["params"]):
        g = x.grad
        if g is None:
            continue
        if g.layout is not torch.strided:
            raise TrainingError(
                f"{_name(group, number, index)} must have a dense gradient (got a sparse one). Use "
                "torch.optim.SparseAdam for it, or make the layer with sparse=False."
            )
        if g.shape != x.shape or g.device != x.device:
            raise TrainingError(
                f"{_name(group, number, index)} is {tuple(x.shape)} on {x.device}, but its gradient is "
                f"{tuple(g.shape)} on {g.device}. Move or resize the model before `backward`, not between it and "
                "`step`."
            )
        held = state.get(x)
        if held and held["exp_avg"].shape != x.shape:
            raise TrainingError(
                f"{_name(group, number, index)} is {tuple(x.shape)}, but its state is "
                f"{tuple(held['exp_avg'].shape)}. Resize by `linnet.resize(..., optimizer=opt)`, which edits the "
                "state too, or make a new optimizer."
            )


def _name(group: Mapping[str, Any], number: int, index: int) -> str:
    names = group.get("param_names")
    return f"`{names[number]}`" if names else f"Parameter {number} of group {index}"


def step_group(
    group: Mapping[str, Any],
    state: dict[Tensor, Any],
    apply: Callable[[Sequence[Slot], Numbers], None],
    *,
    first: int,
) -> None:
    """Steps the parameters of one group that have a gradient.

    Args:
        group: The group, already checked.
        state: The optimizer's; missing state is made.
        apply: Steps tensors.
        first: Number of the group's first parameter in the optimizer.
    """
    with_gradient = [(number, x) for number, x in enumerate(group["params"], first) if x.grad is not None]
    together: dict[Any, list[tuple[int, Tensor]]] = {}
    for number, x in with_gradient:
        if not state.get(x):
            state[x] = new_state(x, group)
        together.setdefault(_age(x, state[x]["step"], group), []).append((number, x))
    for age, members in together.items():
        steps = [state[x]["step"] for _, x in members]
        slots = [_slot(x, state[x], group, number) for number, x in members]
        torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateImportUsage]
        numbers = numbers_of(group, _ages(steps, members[0][1]) if group["capturable"] else age + 1)
        if group["differentiable"]:
            _step_differentiably(group, members, slots, state, numbers)
        else:
            apply(slots, numbers)


def _age(x: Tensor, step: Tensor, group: Mapping[str, Any]) -> Any:
    """What tensors must share to step together: their count of steps, or where it lies when that can't be read."""
    return (step.device, x.dtype) if group["capturable"] else step.item()


def _ages(steps: Sequence[Tensor], x: Tensor) -> Tensor:
    """(tensors,): the step numbers, in float64 where the parameters are."""
    t = torch.stack(list(steps))
    return t.double() if x.dtype in (torch.float64, torch.complex128) else t


def _slot(x: Tensor, held: dict[str, Tensor], group: Mapping[str, Any], number: int) -> Slot:
    v = held["exp_avg_sq"]
    u = v
    if group["amsgrad"]:
        if "max_exp_avg_sq" not in held:
            held["max_exp_avg_sq"] = v.clone()
        u = held["max_exp_avg_sq"]
    key = None if group["rounding_seed"] is None else stream_key(group["rounding_seed"], number)
    assert x.grad is not None
    slot = Slot(x, x.grad, held["exp_avg"], v, u, key)
    return _real(slot) if x.is_complex() else slot


def _real(slot: Slot) -> Slot:
    """Complex tensors as real ones with a last axis of 2."""
    x, g, m, v = (torch.view_as_real(tensor.resolve_conj()) for tensor in slot[:4])
    return Slot(x, g, m, v, v if slot.u is slot.v else torch.view_as_real(slot.u), slot.rounding_key)


def _step_differentiably(
    group: Mapping[str, Any],
    members: Sequence[tuple[int, Tensor]],
    slots: Sequence[Slot],
    state: dict[Tensor, Any],
    numbers: Numbers,
) -> None:
    """New state tensors for old, so that what autograd has kept stays as it was."""
    for index, ((_, x), slot) in enumerate(zip(members, slots, strict=True)):
        vanishes = may_vanish(group["eps"], slot.m.dtype)
        new = advanced(slot._replace(x=slot.x.clone()), numbers.at(index), eps_vanishes=vanishes)
        whole = torch.view_as_complex if x.is_complex() else (lambda tensor: tensor)
        x.copy_(whole(new.x))
        state[x] |= {"exp_avg": whole(new.m), "exp_avg_sq": whole(new.v)}
        if new.u is not new.v:
            state[x]["max_exp_avg_sq"] = whole(new.u)
