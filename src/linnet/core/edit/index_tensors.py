"""Apply an edit's indices and shares to tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from linnet.core.edit.edit_plan import AxisEdit

PART = 65536  # elements: half a megabyte of float64


def edited(old: Tensor, edits: Sequence[AxisEdit], *, powers: Iterable[tuple[str, int]] = (("consume", 1),)) -> Tensor:
    """A tensor after an edit of its axes.

    W_new = W[index on each axis] * product of shares over the axes whose role has a power.

    Args:
        old: Any device, any type but complex.
        edits: What happens to its axes.
        powers: (role, power of the share): weights are shared out on consume axes; gradients and optimizer state are
            multiplied on produce axes.

    Returns:
        A new tensor on the same device, of the same type and memory format. Products are taken in float64 and rounded
        once.
    """
    power = dict(powers)
    indices: dict[int, Tensor] = {}
    factors = []
    for edit in edits:
        if edit.changes:
            indices[edit.axis] = torch.from_numpy(edit.index).to(old.device)
        share = None if edit.share is None or not power.get(edit.role) else edit.share ** power[edit.role]
        if share is not None:
            shape = [-1 if axis == edit.axis else 1 for axis in range(old.ndim)]
            factors.append(torch.from_numpy(share).reshape(shape).to(old.device))
    if factors and old.is_floating_point():
        return _like(_multiplied(old.detach(), indices, factors), old)
    new = _selected(old.detach(), indices)
    return _like(new if indices else new.clone(memory_format=torch.preserve_format), old)


def _selected(tensor: Tensor, indices: Mapping[int, Tensor]) -> Tensor:
    for axis, index in indices.items():
        tensor = tensor.index_select(axis, index)
    return tensor


def _multiplied(old: Tensor, indices: Mapping[int, Tensor], factors: Sequence[Tensor]) -> Tensor:
    """Chosen rows and columns times the factors, in float64 and rounded once.

    It goes in parts that fit a processor's cache, which is faster than a whole weight at once.
    """
    sizes = [len(indices[axis]) if axis in indices else size for axis, size in enumerate(old.shape)]
    product = old.new_empty(sizes)
    others = {axis: index for axis, index in indices.items() if axis}
    step = max(1, PART * sizes[0] // max(product.numel(), 1))
    for start in range(0, sizes[0], step):
        rows = slice(start, start + step)
        part = _selected(old.index_select(0, indices[0][rows]) if 0 in indices else old[rows], others).double()
        for factor in factors:
            part = part * (factor if len(factor) == 1 else factor[rows])
        product[rows] = part
    return product


def _like(new: Tensor, old: Tensor) -> Tensor:
    """The new tensor in the memory format of the old one."""
    if old.ndim == 4 and not old.is_contiguous() and old.is_contiguous(memory_format=torch.channels_last):
        return new.contiguous(memory_format=torch.channels_last)
    if old.ndim == 5 and not old.is_contiguous() and old.is_contiguous(memory_format=torch.channels_last_3d):
        return new.contiguous(memory_format=torch.channels_last_3d)
    return new


def masked(old: Tensor, edits: Sequence[AxisEdit]) -> Tensor:
    """A tensor whose columns of removed channels are 0: the masked network's weight.

    Args:
        old: A parameter or buffer.
        edits: What happens to its axes; only consume axes are masked.

    Returns:
        A new tensor, or the old one when nothing is masked.
    """
    new = old.detach()
    for edit in edits:
        if edit.role == "consume" and len(edit.removed):
            new = new.index_fill(edit.axis, torch.from_numpy(edit.removed).to(old.device), 0)
    return new
