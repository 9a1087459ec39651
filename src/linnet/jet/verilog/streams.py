"""What runs between two layers: one position a clock at most, all its channels side by side."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from linnet.jet.verilog.module import Module, Signal, signed_width


@dataclass(frozen=True, eq=False)
class Stream:
    """Positions of a map in raster order, or one position a frame for a vector.

    The wires carry `raw`; the program's integer is multiplier[c] * raw + offset[c]. So a sign is the bit b with
    2 b - 1, and a convolution of signs need not double its sums.

    Attributes:
        channels: Side by side on the bus.
        height: Rows of a frame.
        width: Positions of a row.
        low: Smallest raw value of each channel.
        high: Largest.
        multiplier: int64 (channels,), none 0.
        offset: int64 (channels,).
        port_bits: Bits a channel on the bus where they are fixed (the input's 8 or 16).
        clocks: At least so many from one position to the next.
        row_clocks: At least so many from a position to the one below it, or to that of the next frame's first row; 0:
            `clocks` for each position of a row.
        frame_clocks: At least so many from a position to the same of the next frame; 0: `row_clocks` for each row.
    """

    channels: int
    height: int
    width: int
    low: np.ndarray
    high: np.ndarray
    multiplier: np.ndarray
    offset: np.ndarray
    port_bits: int = 0
    clocks: int = 1
    row_clocks: int = 0
    frame_clocks: int = 0

    def __post_init__(self) -> None:
        if not self.row_clocks:
            object.__setattr__(self, "row_clocks", self.clocks * self.width)
        if not self.frame_clocks:
            object.__setattr__(self, "frame_clocks", self.row_clocks * self.height)

    def paced_as(self, other: Stream) -> Stream:
        """The same, position by position at the pace of another."""
        return self.paced(other.clocks, other.row_clocks, other.frame_clocks)

    def paced(self, clocks: int, row_clocks: int = 0, frame_clocks: int = 0) -> Stream:
        """The same at another pace."""
        return dataclasses.replace(self, clocks=clocks, row_clocks=row_clocks, frame_clocks=frame_clocks)

    @property
    def signed(self) -> bool:
        """Whether the bus holds two's complement."""
        return bool(self.low.min() < 0)

    @property
    def bits(self) -> int:
        """Bits a channel on the bus."""
        if self.port_bits:
            return self.port_bits
        return signed_width(int(self.low.min()), int(self.high.max())) - (not self.signed) or 1

    @property
    def bus(self) -> int:
        """Bits of the bus."""
        return self.bits * self.channels

    @property
    def is_sign(self) -> bool:
        """Whether it carries signs."""
        return bool((self.multiplier == 2).all() and (self.offset == -1).all() and self.bits == 1)

    @property
    def is_plain(self) -> bool:
        """Whether raw values are the program's integers."""
        return bool((self.multiplier == 1).all() and not self.offset.any())

    def enter(self, module: Module) -> None:
        """Gives a module the ports by which it reads this stream."""
        module.port("input", "in_valid")
        module.port("input", "in_data", self.bus)

    def read(self, module: Module, bus: str) -> list[Signal]:
        """The channels of a bus."""
        ends = [(int(a), int(b)) for a, b in zip(self.low, self.high, strict=True)]
        return module.inputs(bus, self.channels, self.bits, ends, signed=self.signed)


def signs(channels: int, height: int, width: int) -> Stream:
    """A stream of sign bits."""
    zero = np.zeros(channels, np.int64)
    return Stream(channels, height, width, zero, zero + 1, zero + 2, zero - 1)


def numbers(signals: list[Signal], multiplier: np.ndarray, offset: np.ndarray, height: int, width: int) -> Stream:
    """A stream of what signals hold."""
    low, high = (np.array([getattr(s, end) for s in signals], np.int64) for end in ("low", "high"))
    return Stream(len(signals), height, width, low, high, multiplier, offset)
