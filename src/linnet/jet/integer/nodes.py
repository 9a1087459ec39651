"""The operations of an integer program and its nodes, as plain data.

Every number is an integer. A node's result is, by its `kind`:

    pixels   the network's input, whole numbers in [low, high]
    sign     +1 or -1; a backend stores one bit, 1 for +1
    int      a whole number in the proven range of its channel
    scores   fixed-point class scores, whole numbers below 2^30 in size

Maps are (C, H, W), vectors (F,). `low` and `high` are proven bounds of each channel (of each feature in a vector).
Kernels are given as torch's correlation takes them: out[o, y, x] = sum over c, i, j of
kernels[o, c, i, j] * in[c, y * stride + i - padding, x * stride + j - padding], where pad_value stands outside the map.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Input:
    """The pixels. The trained network saw scale * pixel + shift.

    Attributes:
        low: Smallest pixel.
        high: Largest pixel.
        scale: Exact value of the double that was given.
        shift: Likewise.
    """

    low: int
    high: int
    scale: Fraction
    shift: Fraction


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with integer kernels.

    Attributes:
        kernels: int8 (cout, cin, k, k); of a binary convolution all are +-1.
        stride: Pixels between outputs, both ways.
        padding: Pixels added on every side.
        pad_value: Their value, in the units of what comes in: -1 or +1 for signs, a whole pixel for pixels.
        kinds: None for a binary convolution; for jets int8 (cout, cin, 3): differences down, differences across, sign
            (+-1). kernels[o, c] = sign * kernel(k, qy, qx) * 2^shifts[o, c], with `kernel_family.kernel`.
        shifts: For jets int8 (cout, cin), 0 without normalise="shift"; None for a binary convolution.
    """

    kernels: np.ndarray
    stride: int = 1
    padding: int = 0
    pad_value: int = -1
    kinds: np.ndarray | None = None
    shifts: np.ndarray | None = None

    @property
    def family(self) -> str:
        """ "jet" or "binary"."""
        return "binary" if self.kinds is None else "jet"

    @property
    def size(self) -> int:
        """k."""
        return self.kernels.shape[-1]


@dataclass(frozen=True, eq=False)
class Threshold:
    """One bit a value: +1 where (a >= thresholds[c]) differs from flips[c], else -1.

    Without a flip +1 means a >= T; with one, a < T. A constant channel has T = low: always +1, or with a flip -1. T
    lies in [low, high + 1] of the source.

    Attributes:
        thresholds: int64 (C,); (F,) for a vector.
        flips: bool, likewise.
    """

    thresholds: np.ndarray
    flips: np.ndarray


@dataclass(frozen=True, eq=False)
class Pool:
    """Windows of a map joined to one value; windows that don't fit are left out (floor mode), no padding.

    Attributes:
        mode: "bits" (signs: OR, or AND where `conjunction`), "max" (integers) or "sum" (signs or integers).
        window: Height and width. The whole map for global pooling.
        stride: Down and across.
        conjunction: For "bits" bool (C,): -1 wins in these channels; None otherwise.
        everything: Whether the window follows the map's size (global pooling).
    """

    mode: str
    window: tuple[int, int]
    stride: tuple[int, int]
    conjunction: np.ndarray | None = None
    everything: bool = False


@dataclass(frozen=True)
class Flatten:
    """A map as a vector, in torch's order C, H, W."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear layer of +-1 weights on a vector.

    Attributes:
        weights: int8 (outputs, features), features in the order of `Flatten`.
    """

    weights: np.ndarray


@dataclass(frozen=True)
class Add:
    """The sum of two or more maps or vectors of one shape."""


@dataclass(frozen=True, eq=False)
class WeightedAdd:
    """The sum of two maps or vectors of one shape, each multiplied by one whole number a channel.

    Attributes:
        multipliers: int64 (2, C).
    """

    multipliers: np.ndarray


@dataclass(frozen=True)
class Concat:
    """Maps or vectors one after another along the channels."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Fixed-point scores: multipliers[c] * a + offsets[c], which is 2^shift times the logit within `error` * 2^shift.

    Attributes:
        multipliers: int64 (C,).
        offsets: int64 (C,).
        shift: Binary digits after the point (may be negative).
        error: Proven bound of |score * 2^-shift - logit|.
    """

    multipliers: np.ndarray
    offsets: np.ndarray
    shift: int
    error: float


Operation = Input | Conv | Threshold | Pool | Flatten | Linear | Add | WeightedAdd | Concat | Scores


@dataclass(frozen=True, eq=False)
class Node:
    """One operation with its place in the program.

    Attributes:
        name: Unique: the dotted path of the layer that it comes from, `name#2` where a layer runs again, `input` for
            the pixels.
        operation: What it does; one of `Operation`.
        sources: Numbers of the nodes that it reads, all smaller than its own.
        shape: (C, H, W) or (F,).
        kind: "pixels", "sign", "int" or "scores".
        low: Proven lower bound of each channel, int64 (shape[0],).
        high: Proven upper bound, likewise.
    """

    name: str
    operation: Operation
    sources: tuple[int, ...]
    shape: tuple[int, ...]
    kind: str
    low: np.ndarray
    high: np.ndarray

    @property
    def identifier(self) -> str:
        """The name as C and Verilog take it: `features_0` for `features.0`. Two nodes may share one."""
        return re.sub(r"\W", "_", self.name)

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value that any channel can have."""
        return int(self.low.min()), int(self.high.max())

    @property
    def bits(self) -> int:
        """Width of one value: 1 for signs, else two's complement (unsigned where nothing is below 0)."""
        if self.kind == "sign":
            return 1
        low, high = self.range
        return high.bit_length() or 1 if low >= 0 else max(high.bit_length(), (-low - 1).bit_length()) + 1
