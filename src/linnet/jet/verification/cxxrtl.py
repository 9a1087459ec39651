"""The Verilog of a program, turned into C++ by yosys and run on frames with gaps of every kind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from linnet.jet.verilog.network import Design
from linnet.jet.verilog.streams import Stream
from linnet.jet.verilog.tools import Tool, cxxrtl_headers, tool

SHORT = 100_000  # clocks up to which compiling without optimisation takes less time in all
_HEAD = """// Several designs in one program: driver NUMBER FRAMES RESULTS COUNT SEED LATENCY
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>
"""
_MAIN = """
int main(int count, char **arguments)
{
    static int (*const runs[])(char **) = {RUNS};
    return count == 7 ? runs[atoi(arguments[1])](arguments + 2) : 2;
}
"""


@dataclass(frozen=True)
class Stimulus:
    """One design with the frames that it is given.

    Attributes:
        design: What the interface is.
        text: The Verilog.
        pixels: Integers (N, C, H, W).
    """

    design: Design
    text: str
    pixels: np.ndarray

    @property
    def clocks(self) -> int:
        """Clocks of the frames, without gaps."""
        return len(self.pixels) * (self.design.input.height * self.design.input.width + self.design.latency)


def simulated(design: Design, text: str, pixels: np.ndarray, *, rng_seed: int = 1) -> tuple[np.ndarray, float]:
    """The output of frames.

    A random stream before the reset leaves the registers in disorder; then frames come back to back, with gaps of one
    clock, with long gaps, and with gaps between pixels, as the seed draws it. The run ends `design.latency` clocks
    after the last pixel, so that what comes later is missing.

    Args:
        design: What the interface is.
        text: The Verilog.
        pixels: Integers (N, C, H, W).
        rng_seed: Of the gaps.

    Returns:
        int64 (values,) in the order in which they came: frame, position, channel; and seconds of simulation.

    Raises:
        ToolError: yosys or g++ is missing or fails.
    """
    return simulated_together([Stimulus(design, text, pixels)], rng_seed=rng_seed)[0]


def simulated_together(stimuli: Sequence[Stimulus], *, rng_seed: int = 1) -> list[tuple[np.ndarray, float]]:
    """The outputs of several designs that one run of yosys and one of the compiler build: a third of the time for each.

    Args:
        stimuli: Designs and frames.
        rng_seed: Of the gaps.

    Returns:
        For each design what `simulated` gives.

    Raises:
        ToolError: yosys or g++ is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        _build(stimuli, folder)
        driver = Tool("driver", (str(folder / "driver"),), "")
        found = []
        for number, one in enumerate(stimuli):
            words_of(one.design.input, one.pixels).tofile(folder / "frames")
            begun = time.perf_counter()
            given = (len(one.pixels), rng_seed, one.design.latency)
            driver.run(str(number), "frames", "results", *map(str, given), cwd=folder)
            wall_s = time.perf_counter() - begun
            found.append((values_of(one.design.output, np.fromfile(folder / "results", np.uint32)), wall_s))
        return found


def _build(stimuli: Sequence[Stimulus], folder: Path) -> None:
    """Writes and compiles the driver of all designs."""
    script, source = [], [_HEAD]
    for number, one in enumerate(stimuli):
        (folder / f"design{number}.v").write_text(one.text)
        script += [
            f"read_verilog design{number}.v; hierarchy -check -top {one.design.name}",
            f"write_cxxrtl -g0 -namespace design{number} design{number}.cc; design -reset",
        ]
        source += [f'#include "design{number}.cc"', _driver(one.design, number)]
    tool("yosys").run("-q", "-p", "; ".join(script), cwd=folder)
    runs = ", ".join(f"run{number}::run" for number in range(len(stimuli)))
    (folder / "driver.cc").write_text("\n".join([*source, _MAIN.replace("RUNS", runs)]))
    level = "-O0" if max(one.clocks for one in stimuli) < SHORT else "-O1"
    tool("g++").run("-std=c++17", level, "-w", "-I", str(cxxrtl_headers()), "-o", "driver", "driver.cc", cwd=folder)


def words_of(stream: Stream, pixels: np.ndarray) -> np.ndarray:
    """Frames as the bus takes them: uint32 (N * H * W, words of a pixel)."""
    rows = pixels.transpose(0, 2, 3, 1).reshape(-1, stream.channels) & ((1 << stream.bits) - 1)
    bits = (rows[..., None] >> np.arange(stream.bits)) & 1
    return _packed(bits.reshape(len(rows), -1).astype(np.uint8))


def values_of(stream: Stream, words: np.ndarray) -> np.ndarray:
    """The integers of what came out: signs +-1, or two's complement."""
    wide = -(-stream.bus // 32)
    rows = words.reshape(-1, wide)
    bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")[:, : stream.bus]
    bits = bits.reshape(-1, stream.channels, stream.bits).astype(np.int64)
    if stream.is_sign:
        return (2 * bits[..., 0] - 1).reshape(-1)
    weights = 1 << np.arange(stream.bits, dtype=np.int64)
    if stream.signed:
        weights[-1] = -weights[-1]
    return (bits @ weights).reshape(-1)


def _packed(bits: np.ndarray) -> np.ndarray:
    wide = -(-bits.shape[1] // 32) * 32
    padded = np.zeros((len(bits), wide), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint32)


def _driver(design: Design, number: int) -> str:
    template = Template((files("linnet.jet.verilog") / "runtime" / "driver.cc").read_text())
    source, result = design.input, design.output
    return template.substitute(
        number=number,
        name=design.name.replace("_", "__"),
        in_words=-(-source.bus // 32),
        in_bits=source.bus,
        out_words=-(-result.bus // 32),
        pixels=source.height * source.width,
    )
