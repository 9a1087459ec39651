"""The program by numpy, written apart from the torch one: sums over kernel places, pools by strides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Add, Concat, Conv, Flatten, Linear, Node, Pool, Scores, Threshold, WeightedAdd


def trace_numpy(graph: IntegerGraph, pixels: np.ndarray) -> list[np.ndarray]:
    """The integers of every node, in order of the nodes.

    Args:
        graph: The program.
        pixels: Whole pixels in range, (N, *input shape).

    Returns:
        Integers (N, *node.shape), one array a node; signs are +-1.
    """
    values = [pixels.astype(np.int32)]
    for node in graph.nodes[1:]:
        values.append(_result(node, [values[s] for s in node.sources]))
    return values


def run_numpy(graph: IntegerGraph, pixels: np.ndarray) -> np.ndarray:
    """The output alone; a node's integers are dropped when nothing reads them any more."""
    values: dict[int, np.ndarray] = {0: pixels.astype(np.int32)}
    last = {source: number for number, node in enumerate(graph.nodes) for source in node.sources}
    for number, node in enumerate(graph.nodes[1:], 1):
        values[number] = _result(node, [values[s] for s in node.sources])
        for source in node.sources:
            if last[source] == number:
                values.pop(source, None)
    return values[len(graph.nodes) - 1]


def _result(node: Node, inputs: Sequence[np.ndarray]) -> np.ndarray:
    operation, x = node.operation, inputs[0]
    if isinstance(operation, Conv):
        return _convolved(operation, x, node.shape)
    if isinstance(operation, Threshold):
        spread = (1, -1, *[1] * (x.ndim - 2))
        bits = (x >= operation.thresholds.reshape(spread)) ^ operation.flips.reshape(spread)
        return (bits.astype(np.int8) << 1) - 1
    if isinstance(operation, Pool):
        return _pooled(operation, x, node.shape)
    if isinstance(operation, Flatten):
        return x.reshape(len(x), -1)
    if isinstance(operation, Linear):
        ones = operation.weights == 1  # the sum over +1 weights, twice, less the sum over all
        total = x.sum(1, dtype=np.int64)
        return 2 * np.stack([x[:, row].sum(1, dtype=np.int64) for row in ones], 1) - total[:, None]
    if isinstance(operation, Add):
        return sum((v.astype(np.int64) for v in inputs), np.int64(0))  # pyright: ignore[reportReturnType]
    if isinstance(operation, WeightedAdd):
        stacked = np.stack([v.swapaxes(0, 1) for v in inputs]).astype(np.int64)
        return np.einsum("kc,kc...->c...", operation.multipliers, stacked).swapaxes(0, 1)
    if isinstance(operation, Concat):
        return np.concatenate(inputs, 1)
    assert isinstance(operation, Scores)
    spread = (1, -1, *[1] * (x.ndim - 2))
    return x.astype(np.int64) * operation.multipliers.reshape(spread) + operation.offsets.reshape(spread)


def _convolved(conv: Conv, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Place by place of the kernel: out += K[:, :, i, j] x[:, :, i::stride, j::stride], as float32 or float64 products.

    float32 is exact where no partial sum reaches 2^24.
    """
    p, step = conv.padding, conv.stride
    n, channels, height, width = x.shape
    largest = max(int(np.abs(x).max(initial=0)), abs(conv.pad_value)) * np.abs(conv.kernels).sum((1, 2, 3)).max()
    dtype = np.float32 if largest < 2**24 else np.float64
    padded = np.full((channels, n, height + 2 * p, width + 2 * p), conv.pad_value, dtype)
    padded[:, :, p : p + height, p : p + width] = x.swapaxes(0, 1)
    total = np.zeros((shape[0], n * shape[1] * shape[2]), dtype)
    for i in range(conv.size):
        for j in range(conv.size):
            rows = padded[:, :, i : i + step * (shape[1] - 1) + 1 : step, j : j + step * (shape[2] - 1) + 1 : step]
            total += conv.kernels[:, :, i, j].astype(dtype) @ rows.reshape(channels, -1)
    return total.reshape(shape[0], n, *shape[1:]).swapaxes(0, 1).astype(np.int32)


def _pooled(pool: Pool, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Every window place is one strided view; they are joined one by one."""
    window, stride = (x.shape[2:], x.shape[2:]) if pool.everything else (pool.window, pool.stride)
    views = [
        x[:, :, i : i + stride[0] * (shape[1] - 1) + 1 : stride[0], j : j + stride[1] * (shape[2] - 1) + 1 : stride[1]]
        for i in range(window[0])
        for j in range(window[1])
    ]
    if pool.mode == "sum":
        return sum((v.astype(np.int64) for v in views), np.int64(0))  # pyright: ignore[reportReturnType]
    largest, smallest = views[0], views[0]
    for view in views[1:]:
        largest, smallest = np.maximum(largest, view), np.minimum(smallest, view)
    if pool.conjunction is None:
        return largest
    return np.where(pool.conjunction[None, :, None, None], smallest, largest)
