"""A layer's window: its line buffer, and the columns of values that move through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linnet.jet.verilog.module import Module, Signal, literal
from linnet.jet.verilog.sharing.turns import Turns, depth_of, queued
from linnet.jet.verilog.streams import Stream
from linnet.jet.verilog.windows import Window, rows_module

ColumnValues = Callable[[Module, Sequence[Sequence[Signal]]], list[Signal]]


@dataclass(frozen=True)
class Opened:
    """A layer's input and its line buffer.

    Attributes:
        text: Of the modules that it uses.
        turns: How its outputs take turns; None: a position at every clock.
    """

    text: str
    turns: Turns | None

    @property
    def enable(self) -> str:
        """When the window may move; "" for always."""
        return "slot" if self.turns else ""

    def clocks(self, source: Stream, steps: int) -> int:
        """Clocks of so many steps of the window after the last position; the queue's included."""
        if self.turns is None:
            return steps
        return (depth_of(source, self.turns.count) + 2 + steps) * self.turns.count


def opened(module: Module, source: Stream, window: Window, border: int, *, turn: int = 1) -> Opened:
    """Gives a module its input and its line buffer.

    Args:
        module: Empty.
        source: What it reads.
        window: Of the layer.
        border: Raw value outside the map.
        turn: Clocks a position; more than 1 puts a queue in front.
    """
    turns, texts = None, []
    valid, bus, slot = "in_valid", "in_data", ""
    if turn > 1:
        turns, queue = queued(module, source, turn)
        texts.append(queue)
        valid, bus, slot = "due", "next", ".slot(slot), "
    else:
        source.enter(module)
    if window == Window(1, 1):
        return Opened("\n".join(texts), turns)
    name, p = f"{module.name}_rows", max(window.padding, 1)
    mask = (1 << source.bits) - 1
    outside = sum((border & mask) << (source.bits * c) for c in range(source.channels))
    module.line(
        "wire move, emit, first;",
        f"wire [{p - 1}:0] beyond;",
        f"wire [{window.rows * source.bus - 1}:0] column;",
        f"{name} rows(.clk(clk), .rst(rst), {slot}.in_valid({valid}), .in_data({bus}), .move(move), .emit(emit),",
        "    .first(first), .beyond(beyond), .column(column));",
    )
    comment = f"Line buffer of {module.name}."
    texts.append(rows_module(name, comment, source, window, outside, turns=turns is not None))
    return Opened("\n".join(texts), turns)


def columns(
    module: Module, source: Stream, window: Window, border: int, values: ColumnValues, how: Opened
) -> tuple[list[list[Signal]], str, int]:
    """The values of the window's columns.

    Args:
        module: Opened.
        source: What it reads.
        window: Of the layer.
        border: Raw value outside the map.
        values: Makes a column's values from its pixels [channel][row], top row first.
        how: What `opened` gave.

    Returns:
        For each value its column signals from left to right, the line that is high when they are complete (in a layer
        of turns for a whole turn), and the clocks from the last pixel to the last of these.
    """
    slot = how.enable
    if window == Window(1, 1):
        pixels = [[signal] for signal in source.read(module, "next" if slot else "in_data")]
        held = [module.register(v, enable=slot) for v in values(module, pixels)]
        complete = module.delayed("due" if slot else "in_valid", 1, enable=slot)
        return [[v] for v in held], complete, how.clocks(source, 1)
    read = [source.read(module, f"row{age}") for age in _split(module, source, window.rows)]  # newest first
    pixels = [[read[age][c] for age in reversed(range(window.rows))] for c in range(source.channels)]
    made = values(module, pixels)
    outside = _outside(source, window, border, values)
    p, moves = window.padding, f"{slot} && move" if slot else "move"
    if p:
        module.line(f"reg [{p - 1}:0] beyond2;")
        module.clocked(f"{f'if ({slot}) ' if slot else ''}beyond2 <= beyond;")
    found = []
    for value, constant in zip(made, outside, strict=True):
        ages = [module.register(value, enable=moves)]
        for age in range(1, window.columns):
            clear = ("first", constant) if p and age > p else None
            ages.append(module.register(ages[-1], enable=moves, clear=clear))
        for age in range(p):
            low, high = min(ages[age].low, constant), max(ages[age].high, constant)
            ages[age] = module.wire(f"beyond2[{age}] ? {literal(constant)} : {ages[age].name}", low, high, "c")
        found.append(ages[::-1])
    steps = window.drain(source.height, source.width) + 3
    return found, module.delayed("emit", 1, enable=slot), how.clocks(source, steps)


def pace(source: Stream, result: Stream, window: Window, turn: int) -> Stream:
    """The result with the pace at which it comes.

    A layer with padding ends a frame with steps that nothing but its own clock paces: one a clock, or one a turn.
    """
    down, across = window.stride
    h, w = source.height, source.width
    own = turn > 1 or window.drain(h, w) > 0
    at = source.paced(turn, turn * w, turn * w * h) if own else source
    clocks, row_clocks = at.clocks * across, at.row_clocks * down
    # from the last row to the next frame's first one, and from the end of a row to the next one's start
    row_clocks = min(row_clocks, at.frame_clocks - (result.height - 1) * row_clocks)
    clocks = max(1, min(clocks, row_clocks - (result.width - 1) * clocks))
    return result.paced(clocks, row_clocks, at.frame_clocks)


def _split(module: Module, source: Stream, rows: int) -> range:
    for age in range(rows):
        module.line(f"wire [{source.bus - 1}:0] row{age} = column[{source.bus * age} +: {source.bus}];")
    return range(rows)


def _outside(source: Stream, window: Window, border: int, values: ColumnValues) -> list[int]:
    """What the values of a column outside the map are: those of constants."""
    scratch = Module("scratch", "")
    constant = Signal("border", border, border)
    return [signal.low for signal in values(scratch, [[constant] * window.rows] * source.channels)]
