"""Padam fused by torch.compile: one pass over memory.

Beside the blocked way it halves the time of a step of large tensors (docs/padam.md), and users ask for it by name. One
kernel serves tensors of every size. All numbers go in as a tensor, so that schedules of the learning rate, the
betas or the decay don't compile anew; p is a constant of the kernel (square roots are cheaper than a power) for the
first eight values that an optimizer sees, then it goes in as a number too.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from linnet.optim.padam.kernels.blocked import blocked_step
from linnet.optim.padam.kernels.denominator import may_vanish
from linnet.optim.padam.kernels.function import advanced
from linnet.optim.padam.numbers import Numbers, Slot
from linnet.optim.padam.reduced_precision import storage_order

SMALL = 16 * 1024  # elements: below, a call of the kernel costs more than a part in a pack
CONSTANT_POWERS = 8
_SAMPLE = 1 << 20  # elements of the first call: torch decides by them whether to use several threads
_log = logging.getLogger(__name__)


class CompilingFailed(RuntimeError):
    """torch.compile found no working compiler; nothing was changed."""


class Kind(NamedTuple):
    """The constants of a kernel.

    Attributes:
        dtype: Of the parameter.
        state_dtype: Of the state; what is computed in.
        device: "cpu" or "cuda".
        p: Partial adaptivity; None has it as a number.
        amsgrad: Whether there is a maximum.
        scaled: Whether sqrt(u) is scaled.
        shrinks: Whether decay is decoupled.
        decays: Whether decay is coupled.
        maximize: Whether the gradient's sign is turned.
        vanishes: Whether D may be 0.
    """

    dtype: torch.dtype
    state_dtype: torch.dtype
    device: str
    p: float | None
    amsgrad: bool
    scaled: bool
    shrinks: bool
    decays: bool
    maximize: bool
    vanishes: bool


class Compiled:
    """Steps tensors by compiled kernels; small ones and odd layouts go the plain ways.

    Attributes:
        powers: The values of p that are constants of a kernel.
    """

    def __init__(self) -> None:
        self.powers: set[float] = set()

    def __call__(self, slots: Sequence[Slot], numbers: Numbers) -> None:
        """Steps the tensors.

        Raises:
            CompilingFailed: a kernel can't be made; no tensor was changed.
        """
        plan = [(index, slot, _flat(slot)) for index, slot in enumerate(slots)]
        kernels = {kind: kernel(kind) for kind in {self._kind(flat, numbers) for _, _, flat in plan if flat}}
        plain = [(index, slot) for index, slot, flat in plan if flat is None]
        if isinstance(numbers.t, Tensor):
            for index, slot in plain:
                blocked_step([slot], numbers.at(index))
        else:
            blocked_step([slot for _, slot in plain], numbers)
        for index, _, flat in plan:
            if flat is not None:
                kernels[self._kind(flat, numbers)](*flat[:5], _vector(flat.m, numbers.at(index)))

    def _kind(self, slot: Slot, numbers: Numbers) -> Kind:
        if numbers.p in self.powers or len(self.powers) < CONSTANT_POWERS:
            self.powers.add(numbers.p)
        return Kind(
            dtype=slot.x.dtype,
            state_dtype=slot.m.dtype,
            device=slot.x.device.type,
            p=numbers.p if numbers.p in self.powers or numbers.p == 0 else None,
            amsgrad=slot.u is not slot.v,
            scaled=numbers.root_scale is not None,
            shrinks=numbers.shrink is not None,
            decays=numbers.coupled_decay is not None,
            maximize=numbers.maximize,
            vanishes=may_vanish(float(numbers.eps), slot.m.dtype),
        )


@cache
def kernel(kind: Kind) -> Callable[..., None]:
    """The compiled step of one kind, made on sample tensors.

    Args:
        kind: Its constants.

    Returns:
        A function of x, g, m, v, u (one-dimensional) and the vector of numbers, which steps in place.

    Raises:
        CompilingFailed: there is no working compiler.
    """
    power = "any p" if kind.p is None else f"p = {kind.p:g}"
    _log.warning(
        "Padam compiles its step (%s, %s): this takes some seconds, once for torch's cache.", kind.dtype, power
    )
    compiled = torch.compile(_function(kind), dynamic=True, fullgraph=True)
    state = {"dtype": kind.state_dtype, "device": kind.device}
    x, g = (torch.zeros(_SAMPLE, dtype=kind.dtype, device=kind.device) for _ in range(2))
    m, v, u = (torch.zeros(_SAMPLE, **state) for _ in range(3))
    try:
        with torch.no_grad():
            compiled(x, g, m, v, u if kind.amsgrad else v, torch.ones(9, **state))
    except Exception as error:
        raise CompilingFailed(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}") from error
    return compiled


def _function(kind: Kind) -> Callable[..., None]:
    """The step to be compiled, with a code object of its own: torch counts recompilations by code object."""

    def padam(x: Tensor, g: Tensor, m: Tensor, v: Tensor, u: Tensor, vector: Tensor) -> None:
        each: Any = vector.unbind()
        weight1, beta2, weight2, eps, k, scale, shrink, decay, exponent = each
        numbers = Numbers(
            t=1.0,
            weight1=weight1,
            beta2=beta2,
            weight2=weight2,
            p=0.3 if kind.p is None else kind.p,
            eps=eps,
            k=k,
            root_scale=scale if kind.scaled else None,
            coupled_decay=decay if kind.decays else None,
            shrink=shrink if kind.shrinks else None,
            maximize=kind.maximize,
        )
        slot = Slot(x, g, m, v, u if kind.amsgrad else v)
        new = advanced(slot, numbers, eps_vanishes=kind.vanishes, exponent=exponent if kind.p is None else None)
        x.copy_(new.x)
        m.copy_(new.m)
        v.copy_(new.v)
        if kind.amsgrad:
            u.copy_(new.u)

    return types.FunctionType(padam.__code__.replace(), padam.__globals__, "padam", None, padam.__closure__)


def _vector(m: Tensor, numbers: Numbers) -> Tensor:
    """(9,) the numbers in the dtype that is computed in."""
    values: list[Any] = [
        numbers.weight1,
        numbers.beta2,
        numbers.weight2,
        numbers.eps,
        numbers.k,
        1.0 if numbers.root_scale is None else numbers.root_scale,
        1.0 if numbers.shrink is None else numbers.shrink,
        0.0 if numbers.coupled_decay is None else numbers.coupled_decay,
        2 * numbers.p,
    ]
    if not any(isinstance(value, Tensor) for value in values):
        return torch.tensor(values, dtype=m.dtype, device=m.device)
    return torch.stack([torch.as_tensor(value, dtype=m.dtype, device=m.device) for value in values])


def _flat(slot: Slot) -> Slot | None:
    """The slot as vectors in storage order; None where the plain ways are better or the only ones."""
    if slot.x.numel() < SMALL or slot.rounding_key is not None or slot.g.dtype != slot.x.dtype:
        return None
    order = storage_order(slot.x)
    views = [tensor.permute(order) for tensor in slot[:5]]
    if not all(view.is_contiguous() for view in views):
        return None
    x, g, m, v, u = (view.view(-1).detach() for view in views)
    return Slot(x, g, m, v, v if slot.u is slot.v else u)
