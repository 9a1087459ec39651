"""A convolution: jets by a bank of column and row passes, binary kernels by counting bits; then one tree of adders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnet.jet.integer.nodes import Conv
from linnet.jet.kernel_family import row
from linnet.jet.verilog.adders import Term, tree, triples, weighted
from linnet.jet.verilog.module import Module, Signal
from linnet.jet.verilog.sharing.turns import collected, shared_sums, turn_of
from linnet.jet.verilog.sliding import Opened, columns, opened, pace
from linnet.jet.verilog.streams import Stream, numbers
from linnet.jet.verilog.windows import Window, require_streamable


def convolution(module: Module, layer: str, conv: Conv, source: Stream, share: str | int = 1) -> tuple[Stream, str]:
    """Fills a module with a convolution.

    Args:
        module: Empty.
        layer: Its name in the network, for errors.
        conv: The operation.
        source: Signs, or raw values that are the program's integers.
        share: "auto": outputs share adders where positions come seldom; 1: they don't.

    Returns:
        Its output, and the text of the modules that it uses.

    Raises:
        FreezeError: a stream can't hold the layer.
    """
    window = Window(conv.size, conv.size, (conv.stride, conv.stride), conv.padding)
    require_streamable(layer, window, source.height, source.width)
    border = (conv.pad_value + 1) // 2 if source.is_sign else conv.pad_value
    outputs = len(conv.kernels)
    turn = turn_of(source, outputs, share)
    how = opened(module, source, window, border, turn=turn)
    body = _jets if conv.family == "jet" else _binary
    terms, complete, clocks, late = body(module, conv, source, window, border, how)
    bits = source.is_sign and conv.family == "binary"
    if how.turns is None:
        sums, offset, stages = _side_by_side(module, terms, bits=bits)
        valid, clocks = module.delayed(complete, late + stages), clocks + late + stages
        signals, multiplier = [signal for signal, _ in sums], np.array([sign for _, sign in sums], np.int64)
    else:
        turns = how.turns.later(module, late)
        roots, offset, stages = shared_sums(module, turns, terms, bits=bits)
        sure = module.delayed(complete, late + stages)
        signals, valid = collected(module, turns.later(module, stages), roots, outputs, sure)
        multiplier, clocks = np.ones(outputs, np.int64), clocks + late + stages + turn + 1
    offset = np.array(offset, np.int64)
    if source.is_sign:  # sum K (2 b - 1) = 2 sum K b - sum K
        multiplier, offset = 2 * multiplier, 2 * offset - conv.kernels.astype(np.int64).sum((1, 2, 3))
    made = numbers(signals, multiplier, offset, *window.counts(source.height, source.width))
    module.deliver(valid, signals, made.bits, clocks)
    return pace(source, made, window, turn), how.text


Terms = tuple[list[list[Term]], str, int, int]
"""The terms of each output, the line that is high when the window is complete, its clocks, and the terms' delay."""


def _jets(module: Module, conv: Conv, source: Stream, window: Window, border: int, how: Opened) -> Terms:
    """Down each column first, on the raw pixels: n + 1 values for each channel; then across these values."""
    assert conv.kinds is not None
    assert conv.shifts is not None
    k, kinds = conv.size, conv.kinds.astype(int)
    down = sorted({(c, int(q)) for c in range(source.channels) for q in kinds[:, c, 0]})

    def values(target: Module, pixels: Sequence[Sequence[Signal]]) -> list[Signal]:
        return [weighted(target, pixels[c], row(k, q).tolist()) for c, q in down]

    found, complete, clocks = columns(module, source, window, border, values, how)
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
    return sums, complete, clocks, 1


def _binary(module: Module, conv: Conv, source: Stream, window: Window, border: int, how: Opened) -> Terms:
    """Every pixel of the window with its sign."""
    k = conv.size

    def values(_: Module, pixels: Sequence[Sequence[Signal]]) -> list[Signal]:
        return [pixel for channel in pixels for pixel in channel]

    found, complete, clocks = columns(module, source, window, border, values, how)  # [channel * k + row][column]
    kernels = conv.kernels.astype(int).reshape(len(conv.kernels), -1, k)
    sums: list[list[Term]] = [
        [(found[r][j], int(kernel[r, j])) for r in range(len(found)) for j in range(k)] for kernel in kernels
    ]
    return sums, complete, clocks, 0


def _side_by_side(module: Module, sums: list[list[Term]], *, bits: bool) -> tuple[list[Term], list[int], int]:
    """All sums at once: for each a signal and its sign, the constant beside it, and the clocks after the terms."""
    constants = [0] * len(sums)
    if bits:
        sums, constants = triples(module, sums)
    roots, stages = tree(module, sums)
    return roots, constants, stages
