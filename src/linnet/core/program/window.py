"""The geometry of a convolution or a pooling: which positions its window covers. Every reader of it asks here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnet.core.program.program import Node, Program


@dataclass(frozen=True, slots=True)
class Window:
    """The window that a convolution or a pooling moves over its input; every tuple has one entry for each axis.

    Attributes:
        size: Taps.
        stride: Input positions from one output position to the next (transposed: the other way round).
        padding: Positions added on both sides (transposed: taken off).
        dilation: Positions from one tap to the next.
        output_padding: Positions added at the end of a transposed convolution's output.
        transposed: Whether the input is spread over the output.
        groups: Independent groups of channels.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...] = ()
    transposed: bool = False
    groups: int = 1

    @property
    def one_by_one(self) -> bool:
        """Whether each output position reads the input position of the same number, and no other."""
        return all(k == 1 for k in self.size) and all(s == 1 for s in self.stride) and all(p == 0 for p in self.padding)

    def depthwise(self, channels: int) -> bool:
        """Whether each of so many input channels is one group."""
        return self.groups > 1 and self.groups == channels

    def output(self, extent: Sequence[int]) -> list[int]:
        """Output positions along each axis, for so many input positions; below 1 where the window doesn't fit.

        n_out = floor((n + 2p - d (k - 1) - 1) / s) + 1; transposed: (n - 1) s - 2p + d (k - 1) + 1 + output padding.
        """
        spans = [d * (k - 1) for d, k in zip(self.dilation, self.size, strict=True)]
        axes = zip(extent, self.stride, self.padding, spans, strict=True)
        if self.transposed:
            beyond = self.output_padding
            return [(n - 1) * s - 2 * p + w + e + 1 for (n, s, p, w), e in zip(axes, beyond, strict=True)]
        return [(n + 2 * p - w - 1) // s + 1 for n, s, p, w in axes]

    def reads(self, low: np.ndarray, high: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last input position that output positions from `low` to `high` read along an axis."""
        stride, padding = self.stride[axis], self.padding[axis]
        span = self.dilation[axis] * (self.size[axis] - 1)
        if not self.transposed:
            return stride * low - padding, stride * high - padding + span
        # Output o reads input i where stride i = o + padding - dilation k for some tap k.
        return -((span - padding - low) // stride), (high + padding) // stride


def convolution_window(program: Program, node: Node) -> Window:
    """The window of an operator that takes its arguments as `aten::convolution` does.

    Args:
        program: What the node is part of.
        node: A call of (input, weight, bias, stride, padding, dilation, transposed, output_padding, groups).
    """
    size = program.shape(node.inputs[1])[2:]
    rank = len(size)
    return Window(
        size,
        _by_axis(node.argument(3, "stride", 1), rank),
        _by_axis(node.argument(4, "padding", 0), rank),
        _by_axis(node.argument(5, "dilation", 1), rank),
        _by_axis(node.argument(7, "output_padding", 0), rank),
        bool(node.argument(6, "transposed", False)),
        int(node.argument(8, "groups", 1)),
    )


def pooling_window(program: Program, node: Node) -> Window:
    """The window of a two-dimensional pooling: (input, size, stride, padding), and the dilation of a maximum."""
    size, stride = node.argument(1, "kernel_size"), node.argument(2, "stride")
    dilation = node.argument(4, "dilation", 1) if node.name.startswith("max") else 1
    return pooling(size, stride, node.argument(3, "padding", 0), dilation)


def pooling(size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1) -> Window:
    """The window of a two-dimensional pooling, from torch's arguments: an empty stride means the size."""
    return Window(_by_axis(size, 2), _by_axis(stride or size, 2), _by_axis(padding, 2), _by_axis(dilation, 2))


def _by_axis(given: Any, rank: int) -> tuple[int, ...]:
    """One number for each axis; torch takes one for all, too."""
    listed = (given,) if isinstance(given, int) else tuple(given)
    return listed * rank if len(listed) == 1 else listed
