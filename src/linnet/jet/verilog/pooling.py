"""Pools: down the column first, then across; a pool of the whole map gathers as the positions come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnet.jet.integer.nodes import Pool
from linnet.jet.integer.shapes import window_of
from linnet.jet.verilog.module import Module, Signal
from linnet.jet.verilog.sliding import columns, opened, pace
from linnet.jet.verilog.streams import Stream
from linnet.jet.verilog.windows import Window


def pool(module: Module, operation: Pool, source: Stream) -> tuple[Stream, str]:
    """Fills a module with a pool.

    Returns:
        Its output, and the text of its line buffer's module ("" where it has none).
    """
    shape = (source.channels, source.height, source.width)
    size, stride = window_of(operation, shape)
    largest = _largest(operation, source)
    if size == shape[1:]:
        return _whole(module, operation, source, largest), ""
    window = Window(*size, stride)
    how = opened(module, source, window, 0)

    def values(target: Module, pixels: Sequence[Sequence[Signal]]) -> list[Signal]:
        return [_joined(target, operation, column, largest[c]) for c, column in enumerate(pixels)]

    found, valid, clocks = columns(module, source, window, 0, values, how)
    made = [module.register(_joined(module, operation, row, largest[c])) for c, row in enumerate(found)]
    result = _result(operation, source, size[0] * size[1], window.counts(*shape[1:]), made)
    module.deliver(module.delayed(valid, 1), made, result.bits, clocks + 1)
    return pace(source, result, window, 1), how.text


def _largest(operation: Pool, source: Stream) -> list[bool]:
    """For each channel whether the largest raw value is wanted, or the smallest."""
    turned = np.zeros(source.channels, bool) if operation.conjunction is None else operation.conjunction.astype(bool)
    return (turned == (source.multiplier < 0)).tolist()


def _joined(module: Module, operation: Pool, signals: Sequence[Signal], largest: bool) -> Signal:  # noqa: FBT001
    level = list(signals)
    while len(level) > 1:
        made = [_two(module, operation, a, b, largest) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = made + level[len(made) * 2 :]
    return level[0]


def _two(module: Module, operation: Pool, a: Signal, b: Signal, largest: bool) -> Signal:  # noqa: FBT001
    if operation.mode == "sum":
        return module.add(a, b)
    low, high = min(a.low, b.low), max(a.high, b.high)
    if (low, high) == (0, 1):
        return module.wire(f"{a.name} {'|' if largest else '&'} {b.name}", 0, 1)
    return module.wire(f"{a.name} {'>' if largest else '<'} {b.name} ? {a.name} : {b.name}", low, high)


def _result(operation: Pool, source: Stream, count: int, size: tuple[int, int], made: Sequence[Signal]) -> Stream:
    offset = source.offset * count if operation.mode == "sum" else source.offset
    low, high = (np.array([getattr(s, end) for s in made], np.int64) for end in ("low", "high"))
    return Stream(source.channels, *size, low, high, source.multiplier, offset)


def _whole(module: Module, operation: Pool, source: Stream, largest: list[bool]) -> Stream:
    """One register a channel, filled anew by a frame's first position."""
    source.enter(module)
    count = source.height * source.width
    bits = max(1, (count - 1).bit_length())
    module.line(f"reg [{bits - 1}:0] position;", f"wire last = position == {bits}'d{count - 1};")
    module.clocked(f"if (rst) position <= 0; else if (in_valid) position <= last ? {bits}'d0 : position + {bits}'d1;")
    made = []
    for c, signal in enumerate(source.read(module, "in_data")):
        times = count if operation.mode == "sum" else 1
        held = Signal(f"held{c}", min(signal.low * times, 0), max(signal.high * times, 0))
        module.line(f"reg signed [{held.width - 1}:0] {held.name};")
        joined = _two(module, operation, held, signal, largest[c])
        module.clocked(f"if (in_valid) {held.name} <= position == 0 ? {signal.name} : {joined.name};")
        made.append(Signal(held.name, signal.low * times, signal.high * times))
    result = _result(operation, source, count, (1, 1), made)
    module.line("reg done;")
    module.clocked("done <= !rst && in_valid && last;")
    module.deliver("done", made, result.bits, 1)
    return result.paced(source.frame_clocks)
