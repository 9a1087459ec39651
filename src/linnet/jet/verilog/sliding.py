"""A layer's window: its line buffer, and the columns of values that move through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from linnet.jet.verilog.module import Module, Signal, literal
from linnet.jet.verilog.streams import Stream
from linnet.jet.verilog.windows import Window, rows_module

ColumnValues = Callable[[Module, Sequence[Sequence[Signal]]], list[Signal]]


def opened(module: Module, source: Stream, window: Window, border: int) -> str:
    """Gives a module its input and its line buffer; the text of the line buffer's module.

    Args:
        module: Empty.
        source: What it reads.
        window: Of the layer.
        border: Raw value outside the map.
    """
    source.enter(module)
    if window == Window(1, 1):
        return ""
    name, p = f"{module.name}_rows", max(window.padding, 1)
    mask = (1 << source.bits) - 1
    bus = sum((border & mask) << (source.bits * c) for c in range(source.channels))
    module.line(
        "wire move, emit, first;",
        f"wire [{p - 1}:0] beyond;",
        f"wire [{window.rows * source.bus - 1}:0] column;",
        f"{name} rows(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .move(move), .emit(emit),",
        "    .first(first), .beyond(beyond), .column(column));",
    )
    return rows_module(name, f"Line buffer of {module.name}.", source, window, bus)


def columns(
    module: Module, source: Stream, window: Window, border: int, values: ColumnValues
) -> tuple[list[list[Signal]], str, int]:
    """The values of the window's columns.

    Args:
        module: Opened.
        source: What it reads.
        window: Of the layer.
        border: Raw value outside the map.
        values: Makes a column's values from its pixels [channel][row], top row first.

    Returns:
        For each value its column signals from left to right, the line that is high when they are complete, and
        the clocks from the last pixel to the last of these.
    """
    if window == Window(1, 1):
        pixels = [[signal] for signal in source.read(module, "in_data")]
        held = [module.register(v) for v in values(module, pixels)]
        return [[v] for v in held], module.delayed("in_valid", 1), 1
    read = [source.read(module, f"row{age}") for age in _split(module, source, window.rows)]  # newest first
    pixels = [[read[age][c] for age in reversed(range(window.rows))] for c in range(source.channels)]
    made = values(module, pixels)
    outside = _outside(source, window, border, values)
    p = window.padding
    if p:
        module.line(f"reg [{p - 1}:0] beyond2;")
        module.clocked("beyond2 <= beyond;")
    found = []
    for value, constant in zip(made, outside, strict=True):
        ages = [module.register(value, enable="move")]
        for age in range(1, window.columns):
            clear = ("first", constant) if p and age > p else None
            ages.append(module.register(ages[-1], enable="move", clear=clear))
        for age in range(p):
            low, high = min(ages[age].low, constant), max(ages[age].high, constant)
            ages[age] = module.wire(f"beyond2[{age}] ? {literal(constant)} : {ages[age].name}", low, high, "c")
        found.append(ages[::-1])
    return found, module.delayed("emit", 1), window.drain(source.height, source.width) + 3


def _split(module: Module, source: Stream, rows: int) -> range:
    for age in range(rows):
        module.line(f"wire [{source.bus - 1}:0] row{age} = column[{source.bus * age} +: {source.bus}];")
    return range(rows)


def _outside(source: Stream, window: Window, border: int, values: ColumnValues) -> list[int]:
    """What the values of a column outside the map are: those of constants."""
    scratch = Module("scratch", "")
    constant = Signal("border", border, border)
    return [signal.low for signal in values(scratch, [[constant] * window.rows] * source.channels)]
