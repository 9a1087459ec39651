"""The input factor of a stride-1 convolution from autocorrelations: no patch is ever made.

A[(c, i), (c', j)] = sum_ns x[c, s + i] x[c', s + j] depends on the taps i and j almost only through j - i: where all
pairs of pixels at that offset count it is the map's autocorrelation, of which a 3 x 3 kernel has 13 instead of 45. The
few pairs at the edge that a tap's window leaves out are taken off again. Exact, not an approximation.
Patches instead would make a whole training step with K-FAC longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from linnet.core.capture.per_sample import TILE_BYTES, tiles

_LEAST_POSITIONS = 64  # on maps of 4 x 4 the many small products cost as much as the patches (measured on CPU, float32)


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
        size: Pixels.
        out: Positions of the kernel.
        kernel: Taps.
        dilation: Pixels between taps.
        padding: Zeros before the first pixel.
    """

    size: int
    out: int
    kernel: int
    dilation: int
    padding: int

    def window(self, tap: int) -> tuple[int, int]:
        """First pixel that a tap sees and the one after the last, before the map is cut off."""
        first = tap * self.dilation - self.padding
        return first, first + self.out

    def frame(self, shift: int) -> tuple[int, int]:
        """Pixels t for which t and t + shift are both on the map."""
        return max(0, -shift), min(self.size, self.size - shift)

    def inside(self, i: int, j: int) -> tuple[int, int]:
        """Pixels of tap i that count with tap j."""
        (first, last), (low, high) = self.window(i), self.frame((j - i) * self.dilation)
        return max(first, low), min(last, high)

    def left_out(self, i: int, j: int) -> list[tuple[int, int]]:
        """Ranges of the frame that the taps' window leaves out."""
        (low, high), (first, last) = self.frame((j - i) * self.dilation), self.inside(i, j)
        return [(a, b) for a, b in ((low, min(first, high)), (max(last, low), high)) if a < b]


def fits(module: nn.Module, out: tuple[int, ...]) -> bool:
    """Whether a layer's input factor can be taken this way: a plain 1-d or 2-d convolution at stride 1."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d) or module.groups != 1 or module.padding_mode != "zeros":
        return False
    plain = set(module.stride) == {1} and not isinstance(module.padding, str)
    positions = torch.Size(out).numel()
    return plain and max(module.kernel_size) > 1 and positions >= _LEAST_POSITIONS


def input_factor(module: nn.Module, a: Tensor, out: tuple[int, ...], *, homogeneous: bool) -> Tensor:
    """sum_ns patch patch^T, with a constant 1 as the last entry of each patch where `homogeneous`.

    Args:
        module: A layer that `fits`.
        a: Its input, (N, C, *spatial).
        out: Positions on each spatial axis.
        homogeneous: Whether there is a bias.

    Returns:
        (I, I), or (I + 1, I + 1).
    """
    layer = cast(nn.Conv2d, module)
    x = a.unsqueeze(2) if a.ndim == 3 else a
    one = (1,) if a.ndim == 3 else ()
    zero = (0,) if a.ndim == 3 else ()
    kernel, dilation = one + tuple(layer.kernel_size), one + tuple(layer.dilation)
    padding, out = zero + cast(tuple[int, ...], tuple(layer.padding)), one + out
    rows, columns = (Axis(x.shape[2 + k], out[k], kernel[k], dilation[k], padding[k]) for k in (0, 1))
    total: Tensor | None = None
    for tile in tiles(len(x), x[0].numel() * x.element_size(), TILE_BYTES):
        part = _Correlation(x[tile], rows, columns).blocks()
        total = part if total is None else total.add_(part)
    assert total is not None
    channels, taps = x.shape[1], rows.kernel * columns.kernel
    size = channels * taps
    products = total.permute(2, 0, 3, 1).reshape(size, size)
    if not homogeneous:
        return products
    result = products.new_empty(size + 1, size + 1)
    result[:size, :size] = products
    result[size, :size] = result[:size, size] = _sums(x.sum(0), rows, columns).reshape(-1)
    result[size, size] = len(x) * rows.out * columns.out
    return result


class _Correlation:
    """All products of a tile of samples, (taps, taps, C, C)."""

    def __init__(self, x: Tensor, rows: Axis, columns: Axis) -> None:
        self.x = x.transpose(0, 1).contiguous()  # (C, n, H, W)
        self.turned = self.x.transpose(2, 3).contiguous()  # a strip of columns is a run of memory here
        self.rows, self.columns = rows, columns
        room = (columns.kernel - 1) * columns.dilation, (rows.kernel - 1) * rows.dilation
        self.pitch = columns.size + room[0]
        self.flat = F.pad(self.x, (0, room[0], 0, room[1])).flatten(1)  # zeros catch what a shift carries over an edge
        self.known: dict[tuple[int, int], Tensor] = {}

    def blocks(self) -> Tensor:
        """Upper blocks by autocorrelation less what is left out; the lower ones are their transposes."""
        taps = [(h, w) for h in range(self.rows.kernel) for w in range(self.columns.kernel)]
        channels = len(self.x)
        result = self.x.new_empty(len(taps), len(taps), channels, channels)
        for first, i in enumerate(taps):
            for second, j in enumerate(taps[first:], start=first):
                block = self._full((j[0] - i[0]) * self.rows.dilation, (j[1] - i[1]) * self.columns.dilation)
                for strip in self._left_out(i, j):
                    block = block - strip
                result[first, second] = block
                result[second, first] = block.T
        return result

    def _full(self, down: int, right: int) -> Tensor:
        """sum over all pixels t of x[:, t] x[:, t + shift]^T."""
        if (down, right) not in self.known:
            offset = down * self.pitch + right
            length = self.flat.shape[1] - offset
            self.known[down, right] = self.flat[:, :length] @ self.flat[:, offset:].T
        return self.known[down, right]

    def _left_out(self, i: tuple[int, int], j: tuple[int, int]) -> Iterator[Tensor]:
        """Rows outside the window over all columns, then columns outside it over the rows inside."""
        shifts = (j[0] - i[0]) * self.rows.dilation, (j[1] - i[1]) * self.columns.dilation
        all_columns, inside = self.columns.frame(shifts[1]), self.rows.inside(i[0], j[0])
        for strip in self.rows.left_out(i[0], j[0]):
            if all_columns[0] < all_columns[1]:
                yield _product(self.x, (strip, all_columns), shifts)
        for strip in self.columns.left_out(i[1], j[1]):
            if inside[0] < inside[1]:
                yield _product(self.turned, (strip, inside), (shifts[1], shifts[0]))


def _product(x: Tensor, window: tuple[tuple[int, int], tuple[int, int]], shifts: tuple[int, int]) -> Tensor:
    """sum over the pixels t of a window of x[:, t] x[:, t + shift]^T, for x (C, n, ., .)."""
    here = [slice(first, last) for first, last in window]
    there = [slice(first + by, last + by) for (first, last), by in zip(window, shifts, strict=True)]
    return x[:, :, here[0], here[1]].flatten(1) @ x[:, :, there[0], there[1]].flatten(1).T


def _sums(x: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """What each tap sees of a map (C, H, W), summed over positions: (C, taps)."""
    parts = []
    for h in range(rows.kernel):
        for w in range(columns.kernel):
            top, left = rows.inside(h, h), columns.inside(w, w)
            parts.append(
                x[:, slice(*top), slice(*left)].sum((1, 2)) if top[0] < top[1] and left[0] < left[1] else x[:, 0, 0] * 0
            )
    return torch.stack(parts, dim=1)
