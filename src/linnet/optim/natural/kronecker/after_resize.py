"""Curvature blocks after `linnet.resize`: indexed as the channels are, gradients times the copies' shares."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from linnet.core.capture.positions import TRANSPOSED
from linnet.core.edit.edit_plan import Edit
from linnet.core.edit.index_tensors import edited
from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock


def edited_blocks(old: nn.Module, new: nn.Module, edit: Edit, blocks: Mapping[str, Block]) -> dict[str, Block]:
    """Blocks of the new network, without inverses.

    Args:
        old: The network before.
        new: The network after.
        edit: Index maps of each axis.
        blocks: Blocks of the old network; they stay as they are.

    Returns:
        The blocks that can follow exactly. Factors of grouped and transposed convolutions and factors in diagonal
        blocks, where channels changed, and sides that are kept as vectors, are left out.
    """
    paths = {id(module): path for path, module in old.named_modules()}
    shapes = {name: parameter.shape for name, parameter in old.named_parameters()}
    result: dict[str, Block] = {}
    for key, block in blocks.items():
        moved: Block | None
        if isinstance(block, KroneckerBlock):
            module = new.get_submodule(paths[id(block.module)])
            moved = _kronecker(block, module, edit, shapes[block.weight])
        else:
            moved = _small(block, edit, shapes)
        if moved is not None:
            result[key] = moved
    return result


def _kronecker(block: KroneckerBlock, module: nn.Module, edit: Edit, shape: torch.Size) -> KroneckerBlock | None:
    twin = KroneckerBlock(module, block.weight, block.bias, block.sharing, mass=block.mass, size=block.size)
    if block.a is None or block.b is None:
        return None
    if not edit.axes.get(block.weight):
        twin.a, twin.b = block.a.clone(), block.b.clone()
        return twin
    if len(block.a) > 1 or len(block.b) > 1 or isinstance(block.module, (*TRANSPOSED, nn.Embedding)):
        return None
    index, share = _entries(block.weight, edit, shape)
    index, share = index.reshape(len(index), -1), share.reshape(len(share), -1)
    inputs = shape[1:].numel()
    columns = index[0] % inputs
    if block.bias is not None:
        columns = torch.cat([columns, columns.new_tensor([inputs])])
    twin.a = _picked(block.a, columns, torch.ones(len(columns)))
    twin.b = _picked(block.b, index[:, 0] // inputs, share[:, 0])
    return twin


def _small(block: SmallBlock, edit: Edit, shapes: Mapping[str, torch.Size]) -> SmallBlock | None:
    if block.a is None:
        return None
    if not any(edit.axes.get(name) for name in block.names):
        return SmallBlock(block.names, block.a.clone(), block.mass, size=block.size)
    if len(block.a) > 1:
        return None
    indices, shares, start = [], [], 0
    for name in block.names:
        index, share = _entries(name, edit, shapes[name])
        indices.append(index.reshape(-1) + start)
        shares.append(share.reshape(-1))
        start += shapes[name].numel()
    return SmallBlock(block.names, _picked(block.a, torch.cat(indices), torch.cat(shares)), block.mass, size=block.size)


def _entries(name: str, edit: Edit, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """For each entry of the new tensor its old place, and the share that its gradient is multiplied with."""
    axes = edit.axes.get(name, ())
    places = edited(torch.arange(shape.numel(), dtype=torch.float64).view(shape), axes, powers=())
    return places.long(), edited(torch.ones(shape, dtype=torch.float64), axes, powers=(("produce", 1),))


def _picked(matrix: Tensor, index: Tensor, share: Tensor) -> Tensor:
    index, share = index.to(matrix.device), share.to(matrix)
    return matrix[:, index][:, :, index] * share.unsqueeze(1) * share
