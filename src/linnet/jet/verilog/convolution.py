"""A convolution: jets by a bank of column and row passes, binary kernels by counting bits; then one tree of adders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnet.jet.integer.nodes import Conv
from linnet.jet.kernel_family import row
from linnet.jet.verilog.adders import Term, tree, triples, weighted
from linnet.jet.verilog.module import Module, Signal
from linnet.jet.verilog.sliding import columns, opened
from linnet.jet.verilog.streams import Stream, numbers
from linnet.jet.verilog.windows import Window, require_streamable


def convolution(module: Module, layer: str, conv: Conv, source: Stream) -> tuple[Stream, str]:
    """Fills a module with a convolution.

    Args:
        module: Empty.
        layer: Its name in the network, for errors.
        conv: The operation.
        source: Signs, or raw values that are the program's integers.

    Returns:
        Its output, and the text of its line buffer's module.

    Raises:
        FreezeError: a stream can't hold the layer.
    """
    window = Window(conv.size, conv.size, (conv.stride, conv.stride), conv.padding)
    require_streamable(layer, window, source.height, source.width)
    border = (conv.pad_value + 1) // 2 if source.is_sign else conv.pad_value
    body = _jets if conv.family == "jet" else _binary
    rows_text = opened(module, source, window, border)
    sums, valid, clocks, offset = body(module, conv, source, window, border)
    multiplier = np.array([sign for _, sign in sums], np.int64)
    if source.is_sign:  # sum K (2 b - 1) = 2 sum K b - sum K
        multiplier, offset = 2 * multiplier, 2 * offset - conv.kernels.astype(np.int64).sum((1, 2, 3))
    made = numbers([signal for signal, _ in sums], multiplier, offset, *window.counts(source.height, source.width))
    module.deliver(valid, [signal for signal, _ in sums], made.bits, clocks)
    return made, rows_text


Sums = tuple[list[Term], str, int, np.ndarray]


def _jets(module: Module, conv: Conv, source: Stream, window: Window, border: int) -> Sums:
    """Down each column first, on the raw pixels: n + 1 values for each channel; then across these values."""
    assert conv.kinds is not None
    assert conv.shifts is not None
    k, kinds = conv.size, conv.kinds.astype(int)
    down = sorted({(c, int(q)) for c in range(source.channels) for q in kinds[:, c, 0]})

    def values(target: Module, pixels: Sequence[Sequence[Signal]]) -> list[Signal]:
        return [weighted(target, pixels[c], row(k, q).tolist()) for c, q in down]

    found, valid, clocks = columns(module, source, window, border, values)
    by_kind = dict(zip(down, found, strict=True))
    bank: dict[tuple[int, int, int], Signal] = {}
    sums: list[list[Term]] = []
    for o in range(len(kinds)):
        terms = []
        for c, (qy, qx, sign) in enumerate(kinds[o].tolist()):
            if (c, qy, qx) not in bank:
                made = weighted(module, by_kind[c, qy], row(k, qx).tolist())
                bank[c, qy, qx] = module.register(made)
            terms.append((module.shifted(bank[c, qy, qx], int(conv.shifts[o, c])), sign))
        sums.append(terms)
    roots, stages = tree(module, sums)
    return roots, module.delayed(valid, 1 + stages), clocks + 1 + stages, np.zeros(len(kinds), np.int64)


def _binary(module: Module, conv: Conv, source: Stream, window: Window, border: int) -> Sums:
    """Every pixel of the window with its sign; bits go through full adders first."""
    k = conv.size

    def values(_: Module, pixels: Sequence[Sequence[Signal]]) -> list[Signal]:
        return [pixel for channel in pixels for pixel in channel]

    found, valid, clocks = columns(module, source, window, border, values)  # [channel * k + row][column]
    kernels = conv.kernels.astype(int).reshape(len(conv.kernels), -1, k)
    sums: list[list[Term]] = [
        [(found[r][j], int(kernel[r, j])) for r in range(len(found)) for j in range(k)] for kernel in kernels
    ]
    constants = [0] * len(sums)
    if source.is_sign:
        sums, constants = triples(module, sums)
    roots, stages = tree(module, sums)
    return roots, module.delayed(valid, stages), clocks + stages, np.array(constants, np.int64)
