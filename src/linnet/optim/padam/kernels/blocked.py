"""Padam in blocks that stay in the cache: every pass after the first reads and writes cache, and memory is read once.

A tensor above one block is cut along its storage, whatever its strides; smaller ones step in packs that fill a block.
One scratch block serves all, so that a step needs no more memory than that. The moments of a block take one pass, where
torch has the kernel for it. Without packs and that kernel a whole training step takes 16 % longer with two linear
layers, 40 % with thirty (batches of 32 and 64, 2 cores), and as long as now with ResNet-20.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from linnet.optim.padam.kernels.denominator import may_vanish, never_zero_, power_
from linnet.optim.padam.kernels.loop import Moments, moments_, step_
from linnet.optim.padam.numbers import Numbers, Slot
from linnet.optim.padam.reduced_precision import step_wide, storage_order

BLOCK = 256 * 1024  # elements: six times 1 MB of float32, which a level-3 cache holds; fewer cost more calls (measured)


def blocked_step(slots: Sequence[Slot], numbers: Numbers, *, block: int = BLOCK) -> None:
    """Steps the tensors block by block.

    Args:
        slots: The tensors.
        numbers: Of this step.
        block: Elements of a block.
    """
    scratch = Scratch(min(block, sum(slot.x.numel() for slot in slots)))
    small: list[Slot] = []
    for index, slot in enumerate(slots):
        if slot.x.numel() <= block and can_pack(slot, numbers):
            small.append(slot)
            continue
        mine, first, moments = numbers.at(index), 0, None
        for part in blocks_of(slot, block):
            if moments is None:  # the blocks of a tensor are alike
                moments = _fused_moments_ if fits(tuple(part[:5])) else moments_
            _step_block(part, mine, scratch, first, moments)
            first += part.x.numel()
    for pack in packs(small, block):
        step_pack(pack, numbers, scratch.row(pack[0].m, sum(slot.x.numel() for slot in pack)))


def _step_block(part: Slot, numbers: Numbers, scratch: Scratch, first: int, moments: Moments) -> None:
    if part.x.dtype is part.m.dtype and part.g.dtype is part.m.dtype:
        step_(part, numbers, scratch.like(part.m, 0), moments)
    else:
        three = (scratch.like(part.m, 0), scratch.like(part.m, 1), scratch.like(part.m, 2))
        step_wide(part, numbers, step_, scratch=three, first=first)


def _fused_moments_(slot: Slot, g: Tensor, numbers: Numbers) -> None:
    x, _, m, v, u, _ = slot
    update_moments_([x], [g], [m], [v], [u], beta1=1 - numbers.weight1, beta2=numbers.beta2, amsgrad=u is not v)


class Scratch:
    """Memory to be overwritten, made on first use.

    Args:
        size: Elements.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._made: dict[tuple[torch.dtype, torch.device, int], Tensor] = {}

    def like(self, tensor: Tensor, number: int) -> Tensor:
        """Scratch of a tensor's shape, dtype and device.

        Args:
            tensor: Of at most `size` elements.
            number: Which, if several are needed at a time.
        """
        return self.row(tensor, tensor.numel(), number).view(tensor.shape)

    def row(self, tensor: Tensor, elements: int, number: int = 0) -> Tensor:
        """(elements,) scratch of a tensor's dtype and device.

        Args:
            tensor: Gives dtype and device.
            elements: How many, at most `size`.
            number: Which, if several are needed at a time.
        """
        key = (tensor.dtype, tensor.device, number)
        if key not in self._made:
            self._made[key] = torch.empty(self._size, dtype=tensor.dtype, device=tensor.device)
        return self._made[key][:elements]


def blocks_of(slot: Slot, block: int) -> Iterator[Slot]:
    """A slot's parts of at most `block` elements, in the order in which the parameter lies in memory."""
    if slot.x.numel() <= block:
        yield slot
        return
    with_max = slot.u is not slot.v
    tensors = slot[:5] if with_max else slot[:4]
    order = storage_order(slot.x)
    views = [tensor.permute(order) for tensor in tensors]
    if all(view.is_contiguous() for view in views):
        views = [view.view(-1) for view in views]
    for part in _cut(views, block):
        x, g, m, v, *u = part
        yield Slot(x, g, m, v, u[0] if u else v, slot.rounding_key)


def _cut(views: list[Tensor], block: int) -> Iterator[tuple[Tensor, ...]]:
    rows = views[0].shape[0]
    row_size = views[0].numel() // rows
    if row_size <= block:
        yield from zip(*(view.split(block // row_size) for view in views), strict=True)
        return
    for row in range(rows):
        yield from _cut([view[row] for view in views], block)


_lists: Any = torch  # torch gives its list functions no types


def can_pack(slot: Slot, numbers: Numbers) -> bool:
    """Whether a tensor can step in a pack: torch's kernel takes it, and all tensors share numbers of Python.

    Args:
        slot: The tensor.
        numbers: Of this step.
    """
    shared = not isinstance(numbers.t, Tensor) and not isinstance(numbers.k, Tensor)
    return shared and not isinstance(numbers.shrink, Tensor) and fits(slot[:5])


def packs(slots: Sequence[Slot], size: int) -> Iterator[list[Slot]]:
    """The slots in packs of one dtype, of at most `size` elements together (or of one tensor).

    Args:
        slots: The tensors.
        size: Elements of a pack.
    """
    alike: dict[Any, list[Slot]] = {}
    for slot in slots:
        alike.setdefault((slot.m.dtype, slot.u is slot.v), []).append(slot)
    for same in alike.values():
        pack: list[Slot] = []
        filled = 0
        for slot in same:
            elements = slot.x.numel()
            if pack and filled + elements > size:
                yield pack
                pack, filled = [], 0
            pack.append(slot)
            filled += elements
        yield pack


def step_pack(pack: Sequence[Slot], numbers: Numbers, scratch: Tensor) -> None:
    """Steps the tensors of a pack.

    Args:
        pack: Tensors that `can_pack`, of one dtype, all with a maximum or all without.
        numbers: Of this step.
        scratch: (elements,) as many as the pack has together, to be overwritten.
    """
    x, g, m, v, u = (list(tensors) for tensors in list(zip(*pack, strict=True))[:5])
    parts: list[Tensor] = _lists._C._nn.unflatten_dense_tensors(scratch, x)  # views of the shapes of x
    if numbers.maximize or numbers.coupled_decay is not None:
        _lists._foreach_copy_(parts, g)
        g = parts
    if numbers.maximize:
        scratch.neg_()
    if numbers.coupled_decay is not None:
        _lists._foreach_add_(g, x, alpha=numbers.coupled_decay)
    if numbers.shrink is not None:
        _lists._foreach_mul_(x, numbers.shrink)
    amsgrad = pack[0].u is not pack[0].v
    update_moments_(x, g, m, v, u, beta1=1 - numbers.weight1, beta2=numbers.beta2, amsgrad=amsgrad)
    if numbers.p == 0:
        _lists._foreach_add_(x, m, alpha=-numbers.k)
        return
    _lists._foreach_copy_(parts, u)
    _denominator_(scratch, numbers)
    _lists._foreach_addcdiv_(x, m, parts, -numbers.k)


def _denominator_(u: Tensor, numbers: Numbers) -> None:
    """D in the place of u, as `loop.denominator` has it."""
    u.sqrt_()
    if numbers.root_scale is not None:
        u.mul_(numbers.root_scale)
    power_(u.add_(numbers.eps), 2 * numbers.p)
    if may_vanish(numbers.eps, u.dtype):
        never_zero_(u)


DTYPES = (torch.float32, torch.float64)  # that the kernel computes in without rounding in between


def fits(tensors: tuple[Tensor, ...]) -> bool:
    """Whether the kernel can take these tensors: on the CPU, of one full-precision type, without gaps, not empty.

    Args:
        tensors: x, g, m, v and the maximum.
    """
    first = tensors[0]
    return (
        first.dtype in DTYPES
        and first.numel() > 0
        and all(t.is_cpu and t.dtype is first.dtype and t.is_contiguous() for t in tensors)
        and works()
    )


def update_moments_(
    x: list[Tensor],
    g: list[Tensor],
    m: list[Tensor],
    v: list[Tensor],
    u: list[Tensor],
    *,
    beta1: float,
    beta2: float,
    amsgrad: bool,
) -> None:
    """m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g g, and u <- max(u, v) with amsgrad, of each tensor; x stays."""
    torch._fused_adam_(  # pyright: ignore[reportPrivateImportUsage]
        x, g, m, v, u if amsgrad else [], [torch.ones(())] * len(x),
        lr=0.0, beta1=beta1, beta2=beta2, weight_decay=0.0, eps=1.0, amsgrad=amsgrad, maximize=False,
        grad_scale=None, found_inf=None,
    )  # fmt: skip


@cache
def works() -> bool:
    """Whether this torch has the kernel, and it computes Padam's moments and leaves x alone."""
    x, g, m, v = (torch.linspace(-1, 2, 9, dtype=torch.float64) * factor for factor in (1.0, 0.7, 0.3, 0.0))
    v, u = v + 0.2, torch.full((9,), 0.25, dtype=torch.float64)
    moved = [tensor.clone() for tensor in (x, g, m, v, u)]
    try:
        update_moments_(*([tensor] for tensor in moved), beta1=0.9, beta2=0.5, amsgrad=True)
    except (AttributeError, TypeError, RuntimeError):
        return False
    wanted_v = 0.5 * v + 0.5 * g * g
    wanted = (x, g, 0.9 * m + 0.1 * g, wanted_v, torch.maximum(u, wanted_v))
    return all(torch.allclose(ours, theirs, rtol=1e-14, atol=0) for ours, theirs in zip(moved, wanted, strict=True))
