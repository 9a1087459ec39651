"""How far a network looks: the input pixels that each output cell depends on, computed from its program."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from linnet.core.program.operators import operator_of
from linnet.core.program.program import Node, Program
from linnet.core.program.recorder import record
from linnet.core.program.spans import Interval
from linnet.errors import InputError


@dataclass(frozen=True)
class Reach:
    """What one output cell of a fully convolutional network depends on.

    Attributes:
        stride: Input pixels per output cell.
        period: Total stride P: shifting the input by P shifts everything; inputs must be a multiple of it.
        radius: R, the farthest input pixel beyond a cell's own pixels that can change the cell, on any side.
    """

    stride: int
    period: int
    radius: int


def reach(network: nn.Module, *, period: int, in_channels: int = 3) -> Reach:
    """The reach of a network, by interval arithmetic backwards through its recorded program.

    Each of the output cells of one period is followed back through every operator to the interval of positions it
    reads, on both axes; branches that meet are united. It is an upper bound that holds for all weights.

    Args:
        network: Maps (1, c, h, w) to one tensor (1, k, h / stride, w / stride).
        period: Multiple that h and w need.
        in_channels: c.

    Raises:
        InputError: an operator sees the whole image or has no rule here, so tiles could not be exact; it is named with
            the module that runs it. Or the output's grid is finer than the image.
    """
    side = 64 * period
    program = record(network, torch.zeros(1, in_channels, side, side))
    out = program.outputs[0][1]
    cells = program.shape(out)[-1]
    if side % cells:
        raise InputError(f"The network makes {cells} cells of {side} pixels; a whole number of pixels each was needed.")
    stride = side // cells
    first = (cells // 2 // (period // stride)) * (period // stride)
    radius = 0
    for axis in (0, 1):
        here = np.arange(first, first + period // stride)
        low, high = _backwards(program, out, here, axis)
        below, above = stride * here - low, high - (stride * here + stride - 1)
        radius = max(radius, int(below.max()), int(above.max()))
    return Reach(stride, period, radius)


def _backwards(program: Program, output: int, cells: np.ndarray, axis: int) -> Interval:
    spans: dict[int, Interval] = {output: (cells, cells)}
    for node in reversed(program.nodes):
        known = [spans[v] for v in node.outputs if v in spans]
        if not known:
            continue
        span = _union(known)
        for value in _images(program, node):
            before = _step(program, node, value, span, axis)
            spans[value] = _union([spans[value], before]) if value in spans else before
    return spans[program.inputs[0][1]]


def _images(program: Program, node: Node) -> list[int]:
    """The node's inputs that are images; weights, biases and statistics aren't followed."""
    tensors = set(program.tensors.values())
    return [v for v in node.inputs if v not in tensors and len(program.shape(v)) == 4]


def _step(program: Program, node: Node, value: int, span: Interval, axis: int) -> Interval:
    """Positions of `value` that the positions `span` of the node's output read."""
    known = operator_of(node).span
    before = None if known is None else known(program, node, value, span, axis)
    if before is not None:
        return before
    where = f"`{node.module}`" if node.module else "The network"
    raise InputError(
        f"{where} runs `{node.op}` ({node.source}), which has no known reach, so detections in tiles could differ from "
        "those in the whole image. Networks made of convolutions, pooling, batch norm and nearest up-sampling are "
        "exact in tiles; with others detect untiled: tile=None."
    )


def _union(spans: list[Interval]) -> Interval:
    return np.minimum.reduce([s[0] for s in spans]), np.maximum.reduce([s[1] for s in spans])


def halo(of: Reach, window: int) -> int:
    """Pixels around a tile's core that make its peaks exact: R + P and two peaks' windows, rounded up to P.

    Two, since on a plateau a peak gives way to one within its window, which in turn is the maximum of its own.
    """
    return math.ceil((of.radius + of.period + 2 * of.stride * window) / of.period) * of.period
