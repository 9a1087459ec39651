"""Layers that look at one position alone: thresholds, scores, and the affine step from raw values to integers."""

from __future__ import annotations

import numpy as np

from linnet.jet.integer.nodes import Scores, Threshold
from linnet.jet.verilog.adders import Term, tree
from linnet.jet.verilog.module import Module, Signal, literal
from linnet.jet.verilog.sharing.serial import fits, in_series
from linnet.jet.verilog.streams import Stream, numbers, signs


def threshold(module: Module, operation: Threshold, source: Stream) -> Stream:
    """Compares each channel with a constant; one clock.

    m raw + o >= T is raw >= ceil((T - o) / m) for m > 0, and raw < floor((T - o) / m) + 1 turned round for m < 0.
    """
    source.enter(module)
    bits = []
    for c, signal in enumerate(source.read(module, "in_data")):
        m, rest = int(source.multiplier[c]), int(operation.thresholds[c]) - int(source.offset[c])
        limit = -(-rest // m) if m > 0 else rest // m + 1
        turned = bool(operation.flips[c]) != (m < 0)
        bits.append(module.register(_at_least(module, signal, limit, turned)))
    module.deliver(module.delayed("in_valid", 1), bits, 1, 1)
    return signs(source.channels, source.height, source.width).paced_as(source)


def _at_least(module: Module, signal: Signal, limit: int, turned: bool) -> Signal:  # noqa: FBT001
    if limit <= signal.low or limit > signal.high:
        return module.wire(f"2'sd{int((limit <= signal.low) != turned)}", 0, 1)
    sign = "<" if turned else ">="
    return module.wire(f"{{1'b0, {signal.name} {sign} {literal(limit)}}}", 0, 1)


def scores(module: Module, operation: Scores, source: Stream, share: str | int = 1) -> Stream:
    """multipliers[c] * a + offsets[c] by shifts and adders: the multiplier in signed digits.

    With `share="auto"` one adder makes all of them bit by bit, where there are clocks enough between two positions.
    """
    source.enter(module)
    if share != 1 and fits(operation, source):
        return in_series(module, operation, source)
    sums: list[list[Term]] = []
    for c, signal in enumerate(source.read(module, "in_data")):
        factor = int(operation.multipliers[c]) * int(source.multiplier[c])
        offset = int(operation.multipliers[c]) * int(source.offset[c]) + int(operation.offsets[c])
        sums.append([*_product(module, signal, factor), (_constant(module, offset), 1)])
    return _summed(module, sums, source)


def plain(module: Module, source: Stream) -> Stream:
    """The program's integers themselves: multiplier * raw + offset."""
    source.enter(module)
    sums: list[list[Term]] = []
    for c, signal in enumerate(source.read(module, "in_data")):
        sums.append(
            [*_product(module, signal, int(source.multiplier[c])), (_constant(module, int(source.offset[c])), 1)]
        )
    return _summed(module, sums, source)


def _summed(module: Module, sums: list[list[Term]], source: Stream) -> Stream:
    roots, stages = tree(module, sums)
    signals = [s if sign > 0 else _negated(module, s) for s, sign in roots]
    zero = np.zeros(len(signals), np.int64)
    made = numbers(signals, zero + 1, zero, source.height, source.width)
    module.deliver(module.delayed("in_valid", stages), signals, made.bits, stages)
    return made.paced_as(source)


def _negated(module: Module, signal: Signal) -> Signal:
    return module.wire(f"-{signal.name}", -signal.high, -signal.low) if signal.low < 0 else module.add(
        _constant(module, 0), signal, negative=True
    )  # fmt: skip


def _constant(module: Module, value: int) -> Signal:
    return module.wire(literal(value), value, value, "k")


def _product(module: Module, signal: Signal, factor: int) -> list[Term]:
    """factor * signal as few shifted terms: no two neighbouring digits of the factor are used."""
    terms, place = [], 0
    while factor:
        if factor % 2:
            digit = 2 - factor % 4
            terms.append((module.shifted(signal, place), digit))
            factor -= digit
        factor, place = factor // 2, place + 1
    return terms
