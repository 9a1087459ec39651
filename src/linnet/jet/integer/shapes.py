"""Shape, kind and proven range of an operation's result, from those of its sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnet.core.program.window import Window, pooling
from linnet.errors import FreezeError
from linnet.jet.integer.nodes import (
    Add,
    Concat,
    Conv,
    Flatten,
    Input,
    Linear,
    Node,
    Operation,
    Pool,
    Scores,
    Threshold,
    WeightedAdd,
)

LARGEST = 2**31 - 1
Result = tuple[tuple[int, ...], str, np.ndarray, np.ndarray]


def result_of(name: str, operation: Operation, sources: Sequence[Node], shape: tuple[int, ...]) -> Result:
    """Shape, kind, low and high of one operation.

    Args:
        name: The node's name, for errors.
        operation: Of any kind.
        sources: The nodes that it reads.
        shape: For `Input` alone: its shape.

    Raises:
        FreezeError: the map is too small for a window, a linear layer has another number of features, or int32 could
            overflow.
    """
    if isinstance(operation, Input):
        bounds = np.full((2, shape[0]), [[operation.low], [operation.high]], np.int64)
        return _checked(name, (shape, "pixels", bounds[0], bounds[1]))
    source = sources[0]
    if isinstance(operation, Conv):
        return _checked(name, _conv(name, operation, source))
    if isinstance(operation, Threshold):
        ones = np.ones(source.shape[0], np.int64)
        return source.shape, "sign", -ones, ones
    if isinstance(operation, Pool):
        return _checked(name, _pool(name, operation, source))
    if isinstance(operation, Flatten):
        per = int(np.prod(source.shape[1:]))
        return (source.shape[0] * per,), source.kind, source.low.repeat(per), source.high.repeat(per)
    if isinstance(operation, Linear):
        return _checked(name, _linear(name, operation, source))
    if isinstance(operation, Add):
        low, high = sum(s.low for s in sources), sum(s.high for s in sources)
        return _checked(name, (source.shape, "int", np.asarray(low), np.asarray(high)))
    if isinstance(operation, WeightedAdd):
        return _checked(name, _weighted_add(name, operation, sources))
    if isinstance(operation, Concat):
        shape = (sum(s.shape[0] for s in sources), *source.shape[1:])
        low, high = (np.concatenate([getattr(s, end) for s in sources]) for end in ("low", "high"))
        return shape, source.kind, low, high
    return _checked(name, _scores(operation, source))


def _conv(name: str, conv: Conv, source: Node) -> Result:
    cout, _, k, _ = conv.kernels.shape
    _, height, width = source.shape
    across = Window((k, k), (conv.stride,) * 2, (conv.padding,) * 2, (1, 1)).output((height, width))
    if min(height, width) + 2 * conv.padding < k:
        raise FreezeError(
            f"`{name}` reads a map of {height} x {width}, with padding {conv.padding}, which must be at least {k} x "
            f"{k}. Give a larger input."
        )
    kernels = conv.kernels.astype(np.int64)
    ends = np.stack((source.low, source.high))
    if conv.padding:
        ends = np.stack((np.minimum(ends[0], conv.pad_value), np.maximum(ends[1], conv.pad_value)))
    positive, negative = kernels.clip(0).sum((2, 3)), kernels.clip(None, 0).sum((2, 3))
    low = positive @ ends[0] + negative @ ends[1]
    high = positive @ ends[1] + negative @ ends[0]
    largest = np.abs(kernels).sum((2, 3)) @ np.abs(ends).max(0)
    _require_int32(name, -int(largest.max()), int(largest.max()))  # partial sums too
    return (cout, *across), "int", low, high


def _linear(name: str, linear: Linear, source: Node) -> Result:
    outputs, features = linear.weights.shape
    if len(source.shape) != 1 or source.shape[0] != features:
        raise FreezeError(
            f"`{name}` has {features} input features and reads a result of size {'x'.join(map(str, source.shape))}. "
            "The network fixes the size of its images: give the height and width that it was frozen with."
        )
    weights = linear.weights.astype(np.int64)
    up, down = (weights > 0).astype(np.int64), (weights < 0).astype(np.int64)
    largest = int(np.maximum(np.abs(source.low), np.abs(source.high)).sum())
    _require_int32(name, -largest, largest)
    return (outputs,), "int", up @ source.low - down @ source.high, up @ source.high - down @ source.low


def _pool(name: str, pool: Pool, source: Node) -> Result:
    channels, height, width = source.shape
    window, stride = window_of(pool, source.shape)
    if height < window[0] or width < window[1]:
        raise FreezeError(
            f"`{name}` pools windows of {window[0]} x {window[1]}, and its map has only {height} x {width}. Give a "
            "larger input."
        )
    shape = (channels, *pooling(window, stride).output((height, width)))
    if pool.mode == "sum":
        count = window[0] * window[1]
        return shape, "int", source.low * count, source.high * count
    return shape, source.kind if source.kind != "pixels" else "int", source.low, source.high


def _weighted_add(name: str, operation: WeightedAdd, sources: Sequence[Node]) -> Result:
    ends = np.stack([
        np.stack((m * source.low, m * source.high)) for m, source in zip(operation.multipliers, sources, strict=True)
    ])  # fmt: skip
    for products in ends:
        _require_int32(name, int(products.min()), int(products.max()))
    return sources[0].shape, "int", ends.min(1).sum(0), ends.max(1).sum(0)


def window_of(pool: Pool, shape: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Window and stride of a pool that reads a map of `shape`."""
    if pool.everything:
        whole = (shape[1], shape[2])
        return whole, whole
    return pool.window, pool.stride


def _scores(scores: Scores, source: Node) -> Result:
    ends = np.stack((scores.multipliers * source.low, scores.multipliers * source.high)) + scores.offsets
    return source.shape, "scores", ends.min(0), ends.max(0)


def _checked(name: str, result: Result) -> Result:
    _require_int32(name, int(result[2].min()), int(result[3].max()))
    return result


def _require_int32(name: str, low: int, high: int) -> None:
    if low < -LARGEST or high > LARGEST:
        raise FreezeError(
            f"`{name}` could reach {high if high > LARGEST else low}, and every sum must fit into 32 bits (up to "
            f"{LARGEST}). Use fewer channels, a smaller kernel or pool, or a narrower input_range."
        )
