"""Draw edits for a zoo graph, and measure what they do to its function without the library's own proof."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from linnet.core import ChannelGraph
from tests.zoo.entry import Entry


def draw(graph: ChannelGraph, entry: Entry, generator: np.random.Generator, numbers: tuple[int, ...]) -> dict[str, Any]:
    """Random multiplicities for every free class: one number for a norm, equal sums in parts of a split."""
    drawn: dict[str, Any] = {}
    for known in graph.classes.values():
        if known.frozen is None:
            drawn[known.name] = generator.choice(numbers, known.size)
            if not drawn[known.name].any():
                drawn[known.name][0] = 1
    for known in graph.classes.values():
        if known.frozen is None and known.uniform:
            drawn[known.name] = np.full(known.size, max(1, max(numbers) - int(generator.integers(2))))
            if min(numbers) == 0:
                drawn[known.name][:] = 1
    for names in entry.balanced:
        for name in names[1:]:
            drawn[name] = generator.permutation(drawn[names[0]])
    return drawn


def masked(model: nn.Module, graph: ChannelGraph, multiplicity: Mapping[str, Any]) -> nn.Module:
    """A copy whose columns of removed channels are 0, by the graph's slots alone."""
    twin = copy.deepcopy(model)
    tensors = dict(twin.named_parameters()) | dict(twin.named_buffers())
    for name, numbers in multiplicity.items():
        gone = np.flatnonzero(np.broadcast_to(numbers, graph.classes[name].size) == 0)
        for slot in graph.classes[name].slots:
            if slot.role == "consume":
                places = torch.from_numpy(slot.index[gone].ravel())
                with torch.no_grad():
                    tensors[slot.tensor].index_fill_(slot.axis, places, 0.0)
    return twin


def flat(output: Any) -> list[torch.Tensor]:
    """Every tensor of a nested output."""
    if isinstance(output, torch.Tensor):
        return [output]
    items = output.values() if isinstance(output, Mapping) else output
    return [leaf for item in items for leaf in flat(item)]


def difference(left: nn.Module, right: nn.Module, x: torch.Tensor, *, training: bool) -> float:
    """max |f - g| / max |f| over the outputs of two networks, as copies; dropout off."""
    outputs = []
    for model in (left, right):
        twin = copy.deepcopy(model).train(training)
        for module in twin.modules():
            if "Dropout" in type(module).__name__:
                module.eval()
        with torch.no_grad():
            outputs.append(flat(twin(x)))
    worst = 0.0
    for f, g in zip(*outputs, strict=True):
        assert f.shape == g.shape
        assert float(f.std()) > 0
        worst = max(worst, float((f - g).abs().max() / f.abs().max()))
    return worst
