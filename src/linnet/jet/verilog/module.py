"""The text of one Verilog module, written signal by signal, each with the exact range of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Signal:
    """A signed wire or register.

    Every operand of an expression is signed, because one unsigned term would turn a whole Verilog expression unsigned.

    Attributes:
        name: As Verilog reads it.
        low: Smallest value.
        high: Largest value.
    """

    name: str
    low: int
    high: int

    @property
    def width(self) -> int:
        """Bits in two's complement."""
        return signed_width(self.low, self.high)


def signed_width(low: int, high: int) -> int:
    """Bits of two's complement that hold every value of low..high."""
    return max(high.bit_length() if high > 0 else 0, (-low - 1).bit_length() if low < 0 else 0) + 1


def literal(value: int) -> str:
    """A signed constant, wide enough that its negation holds too."""
    width = signed_width(-abs(value), abs(value))
    return f"-{width}'sd{-value}" if value < 0 else f"{width}'sd{value}"


class Module:
    """A module with a valid line and a bus on either side.

    Attributes:
        name: Of the module.
        comment: What it is, above it.
        latency: Clocks from the last input of a frame to its last output, at most.
    """

    def __init__(self, name: str, comment: str) -> None:
        self.name = name
        self.comment = comment
        self.latency = 0
        self._ports: list[str] = ["input clk", "input rst"]
        self._body: list[str] = []
        self._clocked: list[str] = []
        self._known: dict[str, Signal] = {}
        self._count = 0

    def port(self, direction: str, name: str, width: int = 1, kind: str = "") -> None:
        """Adds a port: `port("input", "in_data", 8)`."""
        words = [direction, kind, "" if width == 1 else f"[{width - 1}:0]", name]
        self._ports.append(" ".join(filter(None, words)))

    def line(self, *lines: str) -> None:
        """Adds lines as they are."""
        self._body.extend(lines)

    def clocked(self, *lines: str) -> None:
        """Adds lines to the block that runs at each clock."""
        self._clocked.extend(lines)

    def wire(self, expression: str, low: int, high: int, word: str = "t") -> Signal:
        """A wire for an expression of signed operands; the same expression gives the same wire."""
        if expression not in self._known:
            found = Signal(self._name(word), low, high)
            self._body.append(f"wire signed [{found.width - 1}:0] {found.name} = {expression};")
            self._known[expression] = found
        return self._known[expression]

    def once(self, name: str, *lines: str) -> str:
        """Adds lines that declare a name, the first time it is wanted; gives the name."""
        if name not in self._known:
            self._known[name] = Signal(name, 0, 1)
            self._body.extend(lines)
        return name

    def register(self, signal: Signal, *, enable: str = "", clear: tuple[str, int] | None = None) -> Signal:
        """A signal one clock later.

        Args:
            signal: What is stored.
            enable: Only when this holds.
            clear: A condition (under `enable`) and the value taken instead.
        """
        key = f"<={signal.name}|{enable}|{clear}"
        if key not in self._known:
            low, high = (signal.low, signal.high) if clear is None else (
                min(signal.low, clear[1]), max(signal.high, clear[1])
            )  # fmt: skip
            found = Signal(self._name("r"), low, high)
            self._body.append(f"reg signed [{found.width - 1}:0] {found.name};")
            value = signal.name if clear is None else f"{clear[0]} ? {literal(clear[1])} : {signal.name}"
            self._clocked.append(f"{f'if ({enable}) ' if enable else ''}{found.name} <= {value};")
            self._known[key] = found
        return self._known[key]

    def delayed(self, name: str, clocks: int, *, enable: str = "") -> str:
        """A one-bit line some clocks later, or some clocks in which `enable` holds; low in reset."""
        for _ in range(clocks):
            following = self._name("v")
            self._body.append(f"reg {following};")
            when = f"if (rst || {enable}) " if enable else ""
            self._clocked.append(f"{when}{following} <= !rst && {name};")
            name = following
        return name

    def add(self, a: Signal, b: Signal, *, negative: bool = False) -> Signal:
        """a + b, or a - b."""
        low, high = (a.low - b.high, a.high - b.low) if negative else (a.low + b.low, a.high + b.high)
        return self.wire(f"{a.name} {'-' if negative else '+'} {b.name}", low, high)

    def shifted(self, a: Signal, places: int) -> Signal:
        """a * 2^places, by wiring."""
        if not places:
            return a
        width = signed_width(a.low << places, a.high << places)
        zeros = f"{places}'b{'0' * places}"
        return self.wire(
            f"$signed({{{a.name}[{min(a.width, width - places) - 1}:0], {zeros}}})",
            a.low << places, a.high << places,
        )  # fmt: skip

    def inputs(self, bus: str, count: int, bits: int, ends: Sequence[tuple[int, int]], *, signed: bool) -> list[Signal]:
        """The channels of a bus as signed signals.

        Args:
            bus: Its name.
            count: Channels.
            bits: Of each.
            ends: Smallest and largest value of each.
            signed: Whether the bus holds two's complement.
        """
        found = []
        for k in range(count):
            part = bus if count * bits == 1 else f"{bus}[{bits * k}]" if bits == 1 else f"{bus}[{bits * k} +: {bits}]"
            low, high = ends[k]
            wide = signed_width(low, high)
            words = part if signed else f"{{1'b0, {part}}}"
            held = bits + (not signed)
            name = self._name("x")
            self._body.append(f"wire signed [{held - 1}:0] {name} = {words};")
            if wide < held:
                narrow = self._name("x")
                self._body.append(f"wire signed [{wide - 1}:0] {narrow} = {name}[{wide - 1}:0];")
                name = narrow
            found.append(Signal(name, low, high))
        return found

    def deliver(self, valid: str, signals: Sequence[Signal], bits: int, clocks: int) -> None:
        """The module's output: a valid line, and signals joined to a bus of `bits` a channel.

        Args:
            valid: A line.
            signals: One a channel.
            bits: Of a channel.
            clocks: From the last pixel to the last output, at most.
        """
        bus, self.latency = "out_data", clocks
        self.port("output", "out_valid")
        self.port("output", bus, bits * len(signals))
        self._body.append(f"assign out_valid = {valid};")
        for k, signal in enumerate(signals):
            place = f"{bus}[{bits * k} +: {bits}]" if bits * len(signals) > 1 else bus
            if signal.width > bits:
                self._body.append(f"assign {place} = {signal.name}[{bits - 1}:0];")
            else:
                self._body.append(f"assign {place} = {signal.name};")

    def text(self) -> str:
        """The whole module."""
        ports = ",\n    ".join(self._ports)
        body = [f"    {line}" if line else "" for line in self._body]
        if self._clocked:
            body += ["", "    always @(posedge clk) begin", *(f"        {line}" for line in self._clocked), "    end"]
        return "\n".join([f"// {self.comment}", f"module {self.name} (\n    {ports}\n);", *body, "endmodule", ""])

    def _name(self, word: str) -> str:
        self._count += 1
        return f"{word}{self._count}"
