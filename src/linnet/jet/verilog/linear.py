"""A linear layer on a map: each position adds its share to every class; the weights lie in a table by position."""

from __future__ import annotations

import numpy as np

from linnet.jet.verilog.adders import Term, tree
from linnet.jet.verilog.module import Module, Signal
from linnet.jet.verilog.streams import Stream, numbers


def linear(module: Module, weights: np.ndarray, source: Stream) -> Stream:
    """Fills a module with a linear layer.

    Args:
        module: Empty.
        weights: +-1 (outputs, channels, positions), positions in raster order.
        source: Signs, or raw values that are the program's integers.
    """
    source.enter(module)
    outputs, channels, positions = weights.shape
    _table(module, weights > 0)
    signals = [module.register(signal) for signal in source.read(module, "in_data")]
    sums: list[list[Term]] = [
        [(_share(module, signal, f"weights[{o * channels + c}]", source), 1) for c, signal in enumerate(signals)]
        for o in range(outputs)
    ]
    if source.is_sign:
        sums = [_threes(module, terms) for terms in sums]
    roots, stages = tree(module, sums)
    first = module.delayed("first1", stages)
    valid, last = module.delayed("valid1", stages), module.delayed("last1", stages)
    totals = [_accumulated(module, signal, positions, valid, first) for signal, _ in roots]
    zero = np.zeros(outputs, np.int64)
    features = channels * positions
    made = numbers(totals, zero + 2, zero - features, 1, 1) if source.is_sign else numbers(totals, zero + 1, zero, 1, 1)
    module.deliver(module.delayed(last, 1), totals, made.bits, stages + 2)
    return made


def _table(module: Module, up: np.ndarray) -> None:
    """Counts positions and looks their weights up, one clock after the data."""
    outputs, channels, positions = up.shape
    bits, wide = max(1, (positions - 1).bit_length()), outputs * channels
    module.line(
        f"reg [{bits - 1}:0] position;",
        f"wire last = position == {bits}'d{positions - 1};",
        "reg valid1, first1, last1;",
        f"reg [{wide - 1}:0] weights;  // class o, channel c at {channels} o + c; 1 is +1",
        "always @(posedge clk)",
        "    case (position)",
    )
    for n in range(positions):
        word = "".join("1" if b else "0" for b in up[:, :, n].reshape(-1)[::-1])
        module.line(f"        {bits}'d{n}: weights <= {wide}'b{word};")
    module.line(f"        default: weights <= {wide}'b0;", "    endcase")
    module.clocked(
        f"if (rst) position <= 0; else if (in_valid) position <= last ? {bits}'d0 : position + {bits}'d1;",
        "valid1 <= !rst && in_valid;",
        "first1 <= !rst && position == 0;",
        "last1 <= !rst && in_valid && last;",
    )


def _share(module: Module, signal: Signal, weight: str, source: Stream) -> Signal:
    """A bit that is 1 where sign and weight agree, or the integer with the weight's sign."""
    if source.is_sign:
        return module.wire(f"{{1'b0, {signal.name}[0] ~^ {weight}}}", 0, 1)
    low, high = min(signal.low, -signal.high), max(signal.high, -signal.low)
    negated = module.wire(f"{signal.name.join(('-', ''))}", -signal.high, -signal.low)
    return module.wire(f"{weight} ? {signal.name} : {negated.name}", low, high)


def _threes(module: Module, terms: list[Term]) -> list[Term]:
    from linnet.jet.verilog.adders import triples

    return triples(module, [terms])[0][0]


def _accumulated(module: Module, signal: Signal, positions: int, valid: str, first: str) -> Signal:
    total = Signal(f"total_{signal.name}", min(0, signal.low * positions), max(0, signal.high * positions))
    module.line(f"reg signed [{total.width - 1}:0] {total.name};")
    added = module.add(total, signal)
    module.clocked(f"if ({valid}) {total.name} <= {first} ? {signal.name} : {added.name};")
    return total
