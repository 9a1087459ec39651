"""Scores one after another and bit by bit: a single adder in place of a multiplier for each class."""

from __future__ import annotations

import numpy as np

from linnet.jet.integer.nodes import Scores
from linnet.jet.verilog.module import Module, Signal, literal, signed_width
from linnet.jet.verilog.streams import Stream, numbers


def fits(operation: Scores, source: Stream) -> bool:
    """Whether all scores of a position are done before the next position comes."""
    factors, _ = _line(operation, source)
    return source.width * source.height == 1 and _clocks(factors) < source.frame_clocks


def in_series(module: Module, operation: Scores, source: Stream) -> Stream:
    """factor * raw + offset of each class by Horner's rule, the factor's highest bit first.

    acc <- 2 acc + bit * raw for each bit, then acc <- acc + offset. The sums and the scores move round in two rings.

    Args:
        module: With the ports of its input.
        operation: The scores.
        source: One position a frame.
    """
    factors, offsets = _line(operation, source)
    count, bits = len(factors), _bits(factors)
    raws = source.read(module, "in_data")
    raw = Signal("raw0", min(s.low for s in raws), max(s.high for s in raws))
    ends = [sorted((f * s.low + o, f * s.high + o)) for f, s, o in zip(factors, raws, offsets, strict=True)]
    largest = max(abs(f) for f in factors) * max(abs(raw.low), abs(raw.high)) + max(map(abs, offsets))
    width = signed_width(-largest, largest)
    cb, sb = max(1, (count - 1).bit_length()), bits.bit_length()
    module.line(
        f"reg [{cb - 1}:0] class;",
        f"reg [{sb - 1}:0] step;  // the factor's bits, the highest first, then the offset",
        "reg busy, done;",
        f"reg [{bits - 1}:0] factor;",
        "reg minus;",
        f"reg signed [{width - 1}:0] offset, acc;",
        *(f"reg signed [{raw.width - 1}:0] raw{c};" for c in range(count)),
        *(f"reg signed [{width - 1}:0] score{c};" for c in range(count)),
        f"wire last = step == {sb}'d{bits};",
        f"wire ends = class == {cb}'d{count - 1};",
        f"wire [{bits - 1}:0] place = factor << step;",
        "reg take, less, start1, last1, ends1, busy1;  // one clock later",
        f"reg signed [{width - 1}:0] offset1;",
        f"wire signed [{width - 1}:0] twice = start1 ? {literal(0)} : last1 ? acc : acc <<< 1;",
        f"wire signed [{width - 1}:0] part = last1 ? offset1 : take ? raw0 : {literal(0)};",
        f"wire signed [{width - 1}:0] sum = less ? twice - part : twice + part;",
    )
    _table(module, factors, offsets, bits, cb)
    module.clocked(
        "if (rst) busy <= 0; else if (in_valid) busy <= 1; else if (last && ends) busy <= 0;",
        "if (in_valid) begin class <= 0; step <= 0; end",
        f"else if (busy) begin step <= last ? {sb}'d0 : step + {sb}'d1; if (last) class <= class + {cb}'d1; end",
        f"take <= place[{bits - 1}];",
        "less <= minus && !last;",
        "start1 <= step == 0;",
        "last1 <= last;",
        "ends1 <= ends;",
        "busy1 <= !rst && !in_valid && busy;",
        "offset1 <= offset;",
        "if (busy1) acc <= sum;",
        *(f"if (in_valid) raw{c} <= {signal.name};" for c, signal in enumerate(raws)),
    )
    for c in range(count):
        module.clocked(f"if (!in_valid && busy1 && last1) raw{c} <= raw{(c + 1) % count};")
        following = f"score{c + 1}" if c + 1 < count else "sum"
        module.clocked(f"if (busy1 && last1) score{c} <= {following};")
    module.clocked("done <= !rst && busy1 && last1 && ends1;")
    signals = [Signal(f"score{c}", low, high) for c, (low, high) in enumerate(ends)]
    zero = np.zeros(count, np.int64)
    made = numbers(signals, zero + 1, zero, source.height, source.width)
    module.deliver("done", signals, made.bits, _clocks(factors))
    return made.paced_as(source)


def _line(operation: Scores, source: Stream) -> tuple[list[int], list[int]]:
    """For each class the factor and the offset of the raw value."""
    multipliers = [int(m) for m in operation.multipliers]
    factors = [m * int(k) for m, k in zip(multipliers, source.multiplier, strict=True)]
    offsets = [m * int(o) + int(b) for m, o, b in zip(multipliers, source.offset, operation.offsets, strict=True)]
    return factors, offsets


def _bits(factors: list[int]) -> int:
    return max(1, max(abs(f).bit_length() for f in factors))


def _clocks(factors: list[int]) -> int:
    return len(factors) * (_bits(factors) + 1) + 3


def _table(module: Module, factors: list[int], offsets: list[int], bits: int, cb: int) -> None:
    """The class's numbers."""
    module.line("always @(class)", "    case (class)")
    for c, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
        word = f"factor = {bits}'d{abs(factor)}; minus = 1'b{int(factor < 0)}; offset = {literal(offset)};"
        module.line(f"        {cb}'d{c}: begin {word} end")
    module.line(
        f"        default: begin factor = {bits}'d0; minus = 1'b0; offset = {literal(0)}; end",
        "    endcase",
    )
