"""Where channels are read: the layers whose input a mask or a gate multiplies.

A *read* is a place where a weight consumes a channel. The masked network is the one whose reads see 0 in place of a
masked channel, so it equals the sliced network whatever lies between producer and read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from linnet.core import ChannelGraph, Node, Program, Ref
from linnet.core.channels.union_find import Ints

# Operator that multiplies with a weight -> place of its other factor among the arguments.
_INPUT = {"convolution": 0, "mm": 0, "addmm": 1, "linear": 0, "bmm": 0, "matmul": 0}
_LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


@dataclass(frozen=True)
class Read:
    """One layer's input.

    Attributes:
        module: Path of the layer.
        last: Whether channels lie on the last axis (a linear layer), else on axis 1.
        classes: int64 (positions,): number of the class that each position belongs to.
        channels: int64 (positions,): which of its channels.
    """

    module: str
    last: bool
    classes: Ints
    channels: Ints


def reads(model: nn.Module, graph: ChannelGraph) -> tuple[list[Read], dict[str, str]]:
    """All reads, and the classes that are read where no layer's input can be multiplied.

    Args:
        model: The unwrapped network of the graph.
        graph: Its channel graph.

    Returns:
        (reads, {class name: why it can't be masked}).
    """
    places = _Places(graph)
    modules = dict(model.named_modules())
    found: dict[str, Read] = {}
    refused: dict[str, str] = {}
    for node in graph.program.nodes:
        if not _multiplies_with_a_weight(graph, node):
            continue
        labels = _labels(graph, node)
        if labels is None:
            continue
        read = Read(node.module, node.name != "convolution", *places.of(labels))
        earlier = found.setdefault(node.module, read)
        same = np.array_equal(earlier.classes, read.classes) and np.array_equal(earlier.channels, read.channels)
        if not isinstance(modules.get(node.module), _LAYERS) or not same:
            why = f"`{node.module}` reads it by {node.op} ({node.source}), not as the input of a linear or convolution"
            refused.update({places.names[number]: why for number in np.unique(read.classes) if number >= 0})
    return [read for path, read in found.items() if isinstance(modules.get(path), _LAYERS)], refused


class _Places:
    """Class and channel of every label."""

    def __init__(self, graph: ChannelGraph):
        self.atoms = graph.walk.atoms
        self.names = list(graph.classes)
        self._class = np.full(self.atoms.count, -1, dtype=np.int64)
        self._channel = np.full(self.atoms.count, -1, dtype=np.int64)
        for number, known in enumerate(graph.classes.values()):
            self._class[known.roots] = number
            self._channel[known.roots] = np.arange(known.size)

    def of(self, labels: Ints) -> tuple[Ints, Ints]:
        roots = self.atoms.find(labels)
        return self._class[roots], self._channel[roots]


def _multiplies_with_a_weight(graph: ChannelGraph, node: Node) -> bool:
    """Whether a weight of more than one axis takes part, and sums over channels (a depthwise one does not)."""
    if node.name not in _INPUT:
        return False
    if node.name == "convolution" and int(node.argument(8, "groups", 1)) > 1 and _depthwise(graph.program, node):
        return False
    return any((flow := graph.walk.flows.get(value)) is not None and flow.view is not None for value in node.inputs)


def _depthwise(program: Program, node: Node) -> bool:
    image = node.args[0]
    assert isinstance(image, Ref)
    return int(node.argument(8, "groups", 1)) == program.shape(image.value)[1]


def _labels(graph: ChannelGraph, node: Node) -> Ints | None:
    """Labels along the channel axis of what the weight is multiplied with."""
    factor = node.args[_INPUT[node.name]]
    assert isinstance(factor, Ref)
    axis = 1 if node.name == "convolution" else len(graph.program.shape(factor.value)) - 1
    held = graph.walk.flow(factor.value).on(axis)
    return None if held is None or len(held.axes) != 1 else held.labels
