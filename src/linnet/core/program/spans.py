"""Which positions of an image the output positions of an operator read, along one axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from linnet.core.program.program import Node, Program

Interval = tuple[np.ndarray, np.ndarray]  # first and last position of each output position
# (program, node, number of an input value, interval of the output, axis 0 or 1) -> interval of that input; None where
# the operator reads it in a way that has no bound.
Span = Callable[[Program, Node, int, Interval, int], Interval | None]


def same_positions(program: Program, node: Node, value: int, span: Interval, axis: int) -> Interval | None:
    """Element by element, whatever happens between channels: each position reads itself."""
    same = program.shape(value)[2:] == program.shape(node.outputs[0])[2:]
    return span if same else None


def joined_channels(program: Program, node: Node, value: int, span: Interval, axis: int) -> Interval | None:
    """A concatenation along the channel axis."""
    along_channels = node.argument(1, "dim", 0) in (1, -3)
    return same_positions(program, node, value, span, axis) if along_channels else None


def fixed_statistics(program: Program, node: Node, value: int, span: Interval, axis: int) -> Interval | None:
    """Batch norm with running statistics; those of the image at hand depend on all of it."""
    return None if node.argument(5) is True else same_positions(program, node, value, span, axis)


def rescaled(program: Program, node: Node, value: int, span: Interval, axis: int) -> Interval | None:
    """Positions repeated, or channels moved to or from positions: a block of one side is one position of the other."""
    before, after = program.shape(value)[2 + axis], program.shape(node.outputs[0])[2 + axis]
    low, high = span
    if after < before:
        factor = before // after
        return factor * low, factor * high + factor - 1
    factor = after // before
    return low // factor, high // factor
