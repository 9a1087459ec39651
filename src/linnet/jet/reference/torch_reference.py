"""The program by torch: convolutions in float64, whose sums of integers below 2^53 are exact."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Add, Concat, Conv, Flatten, Linear, Node, Pool, Scores, Threshold, WeightedAdd
from linnet.jet.integer.shapes import window_of


def trace_torch(graph: IntegerGraph, pixels: Tensor) -> list[Tensor]:
    """The integers of every node, in order of the nodes.

    Args:
        graph: The program.
        pixels: Whole pixels in range, (N, *input shape).

    Returns:
        int64 (N, *node.shape), one a node; signs are +-1.
    """
    values = [pixels.long()]
    for node in graph.nodes[1:]:
        values.append(_result(node, [values[s] for s in node.sources]))
    return values


def _result(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    operation, x = node.operation, inputs[0]
    if isinstance(operation, Conv):
        if operation.padding:
            x = functional.pad(x, (operation.padding,) * 4, value=operation.pad_value)
        weight = torch.from_numpy(operation.kernels).double()
        return functional.conv2d(x.double(), weight, stride=operation.stride).round().long()
    if isinstance(operation, Threshold):
        above = x >= _channels(torch.from_numpy(operation.thresholds), x)
        return torch.where(above != _channels(torch.from_numpy(operation.flips), x), 1, -1)
    if isinstance(operation, Pool):
        return _pooled(operation, x)
    if isinstance(operation, Flatten):
        return x.flatten(1)
    if isinstance(operation, Linear):
        return (x.double() @ torch.from_numpy(operation.weights).double().T).round().long()
    if isinstance(operation, Add):
        return torch.stack(tuple(inputs)).sum(0)
    if isinstance(operation, WeightedAdd):
        first, second = torch.from_numpy(operation.multipliers)
        return x * _channels(first, x) + inputs[1] * _channels(second, x)
    if isinstance(operation, Concat):
        return torch.cat(tuple(inputs), 1)
    assert isinstance(operation, Scores)
    return x * _channels(torch.from_numpy(operation.multipliers), x) + _channels(torch.from_numpy(operation.offsets), x)


def _pooled(pool: Pool, x: Tensor) -> Tensor:
    window, stride = window_of(pool, x.shape[1:])
    if pool.mode == "sum":
        return (functional.avg_pool2d(x.double(), window, stride, divisor_override=1)).round().long()
    if pool.conjunction is None:
        return functional.max_pool2d(x.double(), window, stride).long()
    turned = torch.where(_channels(torch.from_numpy(pool.conjunction), x), -1, 1)
    return functional.max_pool2d((x * turned).double(), window, stride).long() * turned


def _channels(values: Tensor, x: Tensor) -> Tensor:
    """One value a channel, spread over the positions."""
    return values.reshape(-1, *[1] * (x.ndim - 2))
