"""The Verilog of a program, turned into C++ by yosys and run on frames with gaps of every kind."""

from __future__ import annotations

import tempfile
import time
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from linnet.jet.verilog.network import Design
from linnet.jet.verilog.streams import Stream
from linnet.jet.verilog.tools import Tool, cxxrtl_headers, tool

SHORT = 100_000  # clocks up to which compiling without optimisation takes less time in all


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
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        (folder / "design.v").write_text(text)
        script = f"read_verilog design.v; hierarchy -check -top {design.name}; write_cxxrtl -g0 design.cc"
        tool("yosys").run("-q", "-p", script, cwd=folder)
        (folder / "driver.cc").write_text(_driver(design))
        words_of(design.input, pixels).tofile(folder / "frames")
        clocks = len(pixels) * (design.input.height * design.input.width + design.latency)
        level = "-O0" if clocks < SHORT else "-O1"
        tool("g++").run(
            "-std=c++17", level, "-w", "-I", str(cxxrtl_headers()), "-o", "driver", "driver.cc", cwd=folder
        )  # fmt: skip
        begun = time.perf_counter()
        driver = Tool("driver", (str(folder / "driver"),), "")
        driver.run("frames", "results", str(len(pixels)), str(rng_seed), str(design.latency), cwd=folder)
        wall_s = time.perf_counter() - begun
        return values_of(design.output, np.fromfile(folder / "results", np.uint32)), wall_s


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


def _driver(design: Design) -> str:
    template = Template((files("linnet.jet.verilog") / "runtime" / "driver.cc").read_text())
    source, result = design.input, design.output
    return template.substitute(
        name=design.name.replace("_", "__"),
        in_words=-(-source.bus // 32),
        in_bits=source.bus,
        out_words=-(-result.bus // 32),
        pixels=source.height * source.width,
    )
