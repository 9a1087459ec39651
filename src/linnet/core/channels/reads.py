"""Where channels are read: the operators that multiply channels with a weight and sum over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from linnet.core.channels.classes import ChannelClass
from linnet.core.channels.propagation_state import PropagationState
from linnet.core.channels.union_find import Ints
from linnet.core.program.program import Node, Program, Ref

# Operator that multiplies with a weight -> place of its other factor among the arguments.
_INPUT = {"convolution": 0, "mm": 0, "addmm": 1, "linear": 0, "bmm": 0, "matmul": 0}


@dataclass(frozen=True)
class Read:
    """The input of one operator that sums over channels.

    Attributes:
        node: The operator.
        last: Whether channels lie on the last axis (a linear layer), else on axis 1.
        classes: int64 (positions,): number of the class that each position belongs to, in the order of
            `ChannelGraph.classes`; -1 where no channel of a class sits.
        channels: int64 (positions,): which of its channels; -1 likewise.
    """

    node: Node
    last: bool
    classes: Ints
    channels: Ints

    @property
    def module(self) -> str:
        """Path of the layer that runs the operator."""
        return self.node.module


def find_reads(walk: PropagationState, known: Mapping[str, ChannelClass]) -> list[Read]:
    """All reads of a labelled network, in order of execution.

    Args:
        walk: Labels of the given network.
        known: Its channel classes.

    Returns:
        One read for each operator whose input carries channels along its summed axis. A depthwise convolution sums
        over no channels, so it is none.
    """
    classes = np.full(walk.atoms.count, -1, dtype=np.int64)
    channels = np.full(walk.atoms.count, -1, dtype=np.int64)
    for number, one in enumerate(known.values()):
        classes[one.roots] = number
        channels[one.roots] = np.arange(one.size)
    found: list[Read] = []
    for node in walk.program.nodes:
        labels = _labels(walk, node) if _multiplies_with_a_weight(walk, node) else None
        if labels is not None:
            roots = walk.atoms.find(labels)
            found.append(Read(node, node.name != "convolution", classes[roots], channels[roots]))
    return found


def _multiplies_with_a_weight(walk: PropagationState, node: Node) -> bool:
    """Whether a weight of more than one axis takes part, and sums over channels (a depthwise one does not)."""
    if node.name not in _INPUT:
        return False
    if node.name == "convolution" and int(node.argument(8, "groups", 1)) > 1 and _depthwise(walk.program, node):
        return False
    return any(walk.flow(value).view is not None for value in node.inputs)


def _depthwise(program: Program, node: Node) -> bool:
    image = node.args[0]
    assert isinstance(image, Ref)
    return int(node.argument(8, "groups", 1)) == program.shape(image.value)[1]


def _labels(walk: PropagationState, node: Node) -> Ints | None:
    """Labels along the channel axis of what the weight is multiplied with."""
    factor = node.args[_INPUT[node.name]]
    assert isinstance(factor, Ref)
    axis = 1 if node.name == "convolution" else len(walk.program.shape(factor.value)) - 1
    held = walk.flow(factor.value).on(axis)
    return None if held is None or len(held.axes) != 1 else held.labels
