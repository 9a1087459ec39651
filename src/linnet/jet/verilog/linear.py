"""A linear layer on a map: each position adds its share to every class; the weights lie in a table by position."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from linnet.jet.verilog.adders import Term, tree, triples
from linnet.jet.verilog.module import Module, Signal
from linnet.jet.verilog.sharing.turns import Turns, depth_of, queued, turn_of
from linnet.jet.verilog.streams import Stream, numbers


def linear(module: Module, weights: np.ndarray, source: Stream, share: str | int = 1) -> tuple[Stream, str]:
    """Fills a module with a linear layer.

    Args:
        module: Empty.
        weights: +-1 (outputs, channels, positions), positions in raster order.
        source: Signs, or raw values that are the program's integers.
        share: "auto": classes share adders where positions come seldom; 1: they don't.

    Returns:
        Its output, and the text of the modules that it uses.
    """
    turn = turn_of(source, len(weights), share)
    if turn > 1:
        return _in_turns(module, weights, source, turn)
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
    made = _result(source, totals, channels * positions)
    module.deliver(module.delayed(last, 1), totals, made.bits, stages + 2)
    return made, ""


def _in_turns(module: Module, weights: np.ndarray, source: Stream, turn: int) -> tuple[Stream, str]:
    """A class after another at each position: the totals of a group move round in a ring, past one adder."""
    outputs, channels, positions = weights.shape
    turns, text = queued(module, source, turn)
    bits = max(1, (positions - 1).bit_length())
    module.line(f"reg [{bits - 1}:0] position;", f"wire last = position == {bits}'d{positions - 1};", "reg live;")
    module.clocked(
        f"if (rst) position <= 0; else if (slot && live) position <= last ? {bits}'d0 : position + {bits}'d1;",
        "if (rst || slot) live <= !rst && due;",
    )
    held = [module.register(module.register(module.register(s, enable="slot"))) for s in source.read(module, "next")]
    groups = turns.groups(outputs)
    _turn_table(module, weights > 0, turns, groups, bits)
    sums: list[list[Term]] = [
        [(_share(module, signal, f"weights[{j * channels + c}]", source), 1) for c, signal in enumerate(held)]
        for j in range(len(groups))
    ]
    if source.is_sign:
        sums = [_threes(module, terms) for terms in sums]
    roots, stages = tree(module, sums)
    late = 2 + stages
    valid = module.delayed("live", late)
    module.line("wire first0 = position == 0;")
    first = module.delayed("first0", late)
    done = module.delayed(f"live && last && {turns.is_at(turn - 1)}", late + 1)
    totals: list[Signal] = []
    for (root, _), group in zip(roots, groups, strict=True):
        totals += _ring(module, root, len(totals), turn, positions, valid, first)[: len(group)]
    made = _result(source, totals, channels * positions)
    module.deliver(done, totals, made.bits, (depth_of(source, turn) + 4) * turn + late + 2)
    return made, text


def _ring(module: Module, root: Signal, number: int, turn: int, positions: int, valid: str, first: str) -> list[Signal]:
    """The totals of a group: the one whose turn it is stands in front, and after a turn all stand as before."""
    low, high = min(0, root.low * positions), max(0, root.high * positions)
    ring = [Signal(f"total{number + k}", low, high) for k in range(turn)]
    for signal in ring:
        module.line(f"reg signed [{signal.width - 1}:0] {signal.name};")
    added = module.add(ring[0], root)
    for here, following in pairwise(ring):
        module.clocked(f"if ({valid}) {here.name} <= {following.name};")
    module.clocked(f"if ({valid}) {ring[-1].name} <= {first} ? {root.name} : {added.name};")
    return ring


def _turn_table(module: Module, up: np.ndarray, turns: Turns, groups: list[list[int]], bits: int) -> None:
    """Looks the weights of a position and a phase up, two clocks after them: a block RAM is slow to answer."""
    _, channels, positions = up.shape
    wide, address = len(groups) * channels, bits + turns.bits
    module.line(
        f"reg [{wide - 1}:0] read, weights;  // group j, channel c at {channels} j + c; 1 is +1",
        "always @(posedge clk) weights <= read;",
        "always @(posedge clk)",
        f"    case ({{position, {turns.phase}}})",
    )
    for n in range(positions):
        for phase in range(turns.count):
            rows = [up[g[phase], :, n] if phase < len(g) else np.zeros(channels, bool) for g in groups]
            word = "".join("1" if b else "0" for b in np.concatenate(rows)[::-1])
            module.line(f"        {address}'d{(n << turns.bits) + phase}: read <= {wide}'b{word};")
    module.line(f"        default: read <= {wide}'b0;", "    endcase")


def _result(source: Stream, totals: list[Signal], features: int) -> Stream:
    zero = np.zeros(len(totals), np.int64)
    multiplier, offset = (zero + 2, zero - features) if source.is_sign else (zero + 1, zero)
    return numbers(totals, multiplier, offset, 1, 1).paced(source.frame_clocks)


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
    return triples(module, [terms])[0][0]


def _accumulated(module: Module, signal: Signal, positions: int, valid: str, first: str) -> Signal:
    total = Signal(f"total_{signal.name}", min(0, signal.low * positions), max(0, signal.high * positions))
    module.line(f"reg signed [{total.width - 1}:0] {total.name};")
    added = module.add(total, signal)
    module.clocked(f"if ({valid}) {total.name} <= {first} ? {signal.name} : {added.name};")
    return total
