"""Zero-sum pairs: added channels with fresh weights, whose contributions cancel at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from linnet.core.channels.graph import ChannelGraph
from linnet.core.channels.union_find import Ints
from linnet.core.edit.edit_plan import AxisEdit, Edit
from linnet.engine import derive_seed


@dataclass(frozen=True)
class _Pairs:
    """The pairs on one axis: new positions of the first and of the second of each."""

    axis: int
    role: str
    first: Tensor
    second: Tensor


def with_pairs(edit: Edit, graph: ChannelGraph, plain: Mapping[str, Ints]) -> tuple[Edit, dict[str, list[_Pairs]]]:
    """An edit in which the later copies of a channel take no share of it, and where those copies sit.

    Args:
        edit: Its multiplicities count every copy.
        graph: The graph it was planned on.
        plain: Class -> how many extra copies of each channel share its outgoing weights; the copies beyond them come
            in pairs.

    Returns:
        (the edit with other shares, tensor name -> pairs on its axes).
    """
    known = _by_position(edit, graph, plain)
    axes: dict[str, tuple[AxisEdit, ...]] = {}
    pairs: dict[str, list[_Pairs]] = {}
    for name, edits in edit.axes.items():
        changed = []
        for one in edits:
            limit = known.get((name, one.axis))
            changed.append(one if limit is None else _unshared(one, limit))
            if limit is not None:
                found = _found(one, limit)
                if len(found.first):
                    pairs.setdefault(name, []).append(found)
        axes[name] = tuple(changed)
    return replace(edit, axes=axes), pairs


def _by_position(edit: Edit, graph: ChannelGraph, plain: Mapping[str, Ints]) -> dict[tuple[str, int], Ints]:
    """(tensor, axis) -> for each old position, the last copy that is no part of a pair."""
    limits: dict[tuple[str, int], Ints] = {}
    for name, counts in plain.items():
        for slot in graph.classes[name].slots:
            key = slot.tensor, slot.axis
            if key not in limits:
                axis = next((one for one in edit.axes.get(slot.tensor, ()) if one.axis == slot.axis), None)
                if axis is None:
                    continue
                limits[key] = np.full(int(axis.index.max()) + 1, np.iinfo(np.int64).max)
            limits[key][slot.index] = counts[:, None]
    return limits


def _unshared(one: AxisEdit, limit: Ints) -> AxisEdit:
    """Shares 0 for the copies in pairs; the others of a channel share it out among themselves."""
    share = np.ones(len(one.index)) if one.share is None else one.share
    share = np.where(one.copy <= limit[one.index], share, 0.0)
    total = np.bincount(one.index, weights=share)
    return replace(one, share=share / total[one.index])


def _found(one: AxisEdit, limit: Ints) -> _Pairs:
    rank = one.copy - limit[one.index] - 1
    place = {
        (old, copy): new for new, (old, copy) in enumerate(zip(one.index.tolist(), one.copy.tolist(), strict=True))
    }
    first = np.flatnonzero((rank >= 0) & (rank % 2 == 0))
    second = np.array([place[int(one.index[at]), int(one.copy[at]) + 1] for at in first], dtype=np.int64)
    return _Pairs(one.axis, one.role, torch.from_numpy(first), torch.from_numpy(second))


@torch.no_grad()
def draw_pairs(network: nn.Module, pairs: Mapping[str, list[_Pairs]], *, rng_seed: int) -> None:
    """Fresh weights for the pairs, in place: equal ones into both channels of a pair, z and -z out of them.

    Both channels of a pair carry the same values, so +z and -z cancel in everything that reads them. Weights are
    drawn from N(0, std(W)^2) of their own tensor; scales, biases and statistics are those of the copied channel.

    Args:
        network: What the edit with pairs made.
        pairs: From `with_pairs`.
        rng_seed: With the tensor's name it decides the draws.
    """
    tensors = dict(network.named_parameters())
    for name, found in pairs.items():
        weight = tensors.get(name)
        if weight is None or weight.ndim < 2 or not weight.is_floating_point():
            continue
        generator = torch.Generator().manual_seed(derive_seed(rng_seed, "pair", name))
        fresh = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        fresh = (fresh * float(weight.detach().double().std())).to(weight.device, weight.dtype)
        for pair in found:
            at = pair.first.to(weight.device)
            weight.index_copy_(pair.axis, at, fresh.index_select(pair.axis, at))
        for pair in found:  # out: opposite signs
            if pair.role == "consume":
                _follow(weight, pair, sign=-1)
        for pair in found:  # in: equal, also where a pair reads a pair
            if pair.role == "produce":
                _follow(weight, pair, sign=1)


def _follow(weight: Tensor, pair: _Pairs, *, sign: int) -> None:
    first, second = pair.first.to(weight.device), pair.second.to(weight.device)
    weight.index_copy_(pair.axis, second, sign * weight.index_select(pair.axis, first))
