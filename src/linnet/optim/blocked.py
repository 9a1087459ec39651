"""Padam in blocks that stay in the cache: every pass after the first reads and writes cache, and memory is read once.

A tensor above one block is cut along its storage, whatever its strides; smaller ones step in packs that fill a block.
One scratch block serves all, so that a step needs no more memory than that. The moments of a block take one pass, where
torch has the kernel for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from linnet.optim.fused_moments import fits, update_moments_
from linnet.optim.packed import can_pack, packs, step_pack
from linnet.optim.padam_numbers import Numbers, Slot
from linnet.optim.padam_step import Moments, moments_, step_
from linnet.optim.reduced_precision import step_wide
from linnet.optim.storage_order import storage_order

BLOCK = 256 * 1024  # elements: six times 1 MB of float32, which a level-3 cache holds; fewer cost more calls (measured)


def blocked(slots: Sequence[Slot], numbers: Numbers, *, block: int = BLOCK) -> None:
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
    """Memory to be overwritten, made when it is first asked for.

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
