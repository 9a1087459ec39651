"""Where channels are read: the operators that multiply channels with a weight and sum over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from linnet.arrays import Ints
from linnet.core.channels.classes import ChannelClass
from linnet.core.channels.propagation_state import PropagationState
from linnet.core.program.operators import operator_of
from linnet.core.program.program import Node, Ref


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
    for node in walk.program.all_nodes:
        entry = operator_of(node)
        if entry.factor is None or not any(walk.flow(value).view is not None for value in node.inputs):
            continue
        factor = node.args[entry.factor]
        assert isinstance(factor, Ref)
        shape, last = walk.program.shape(factor.value), entry.window is None
        if entry.window is not None and entry.window(walk.program, node).depthwise(shape[1]):
            continue
        held = walk.flow(factor.value).on(len(shape) - 1 if last else 1)
        if held is not None and len(held.axes) == 1:
            roots = walk.atoms.find(held.labels)
            found.append(Read(node, last, classes[roots], channels[roots]))
    return found
