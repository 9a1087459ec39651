"""The Verilog of a program on frames: by CXXRTL (yosys and a C++ compiler), and by Icarus Verilog."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path

import numpy as np

from linnet.errors import FreezeError, InputError, MismatchError, ToolError
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Flatten
from linnet.jet.reference.numpy_reference import run_numpy
from linnet.jet.verification.cxxrtl import simulated
from linnet.jet.verification.icarus import simulated_by_icarus
from linnet.jet.verification.records import Ran, located, require_equal
from linnet.jet.verilog.network import Design, design
from linnet.jet.verilog.tools import cxxrtl_headers, missing, tool

SIMULATORS = {"rtl": simulated, "icarus": simulated_by_icarus}
TOOLS = {"rtl": ("yosys", "g++"), "icarus": ("iverilog", "vvp")}


def missing_rtl() -> str:
    """Why CXXRTL can't run here, or ""."""
    why = missing(*TOOLS["rtl"])
    if why:
        return why
    try:
        cxxrtl_headers()
    except ToolError as error:
        return str(error)
    return ""


def missing_icarus() -> str:
    """Why Icarus Verilog can't run here, or ""."""
    return missing(*TOOLS["icarus"])


def check_rtl(
    backend: str, graph: IntegerGraph, pixels: np.ndarray, expected: np.ndarray, directory: Path | None
) -> list[Ran]:
    """All frames through one simulator, with gaps of every kind.

    Args:
        backend: "rtl" or "icarus".
        graph: The program.
        pixels: (N, *input shape).
        expected: (N, *output shape).
        directory: Folder with one design; None: it is written anew.

    Raises:
        FreezeError: the Verilog can't hold a layer.
        MismatchError: a value differs, or the folder holds another program.
        ToolError: a tool fails.
    """
    if len(graph.input_shape) != 3:
        raise FreezeError(f"`backends` asks for {backend!r}, which takes images; this network takes vectors.")
    made, text = _design(graph, directory)
    begun = time.perf_counter()
    found, _ = SIMULATORS[backend](made, text, pixels)
    build = "frames back to back and with gaps"
    where = f"{backend} ({build})"
    shaped = _in_order(found, graph, len(pixels))
    if shaped is None or not np.array_equal(shaped, expected):
        _raise_located(where, backend, graph, made, text, pixels, expected, found)
    values = 0 if shaped is None else require_equal(where, graph.output, expected, shaped)
    version = ", ".join(tool(name).version for name in TOOLS[backend])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return [Ran(backend, build, values, time.perf_counter() - begun, version, digest)]


def _design(graph: IntegerGraph, directory: Path | None) -> tuple[Design, str]:
    height, width = graph.input_shape[1:]
    if directory is None:
        made = design(graph, height, width, "linnet_jet")
        return made, made.text
    found = [path for path in sorted(directory.glob("*.json")) if "latency_clocks" in path.read_text()]
    if len(found) != 1:
        raise InputError(
            f"`directory` must hold one program in Verilog (got {directory} with {len(found)} interfaces of one)."
        )
    interface = json.loads(found[0].read_text())
    if interface["program_hash"] != graph.hash:
        raise MismatchError(
            f"{found[0]}: its hash isn't that of this program ({graph.hash[:16]}). Write it anew: to_verilog."
        )
    share = interface.get("share", 1)
    return design(graph, height, width, interface["top"], share), found[0].with_suffix(".v").read_text()


def _in_order(found: np.ndarray, graph: IntegerGraph, frames: int) -> np.ndarray | None:
    """(N, *output shape), or None where there are more values or fewer."""
    shape = graph.output.shape
    if found.size != frames * int(np.prod(shape)):
        return None
    if len(shape) == 1:
        return found.reshape(frames, *shape)
    return found.reshape(frames, *shape[1:], shape[0]).transpose(0, 3, 1, 2)


def _raise_located(
    where: str,
    backend: str,
    graph: IntegerGraph,
    made: Design,
    text: str,
    pixels: np.ndarray,
    expected: np.ndarray,
    found: np.ndarray,
) -> None:
    """Raises with the first layer that differs, or the first line of the file that isn't what is written today."""
    shaped = _in_order(found, graph, len(pixels))
    what = (
        f"{found.size:,} values came out where {expected.size:,} are due."
        if shaped is None
        else located(graph.output, expected, shaped)
    )
    if text != made.text:
        pairs = zip(made.text.splitlines(), text.splitlines(), strict=False)
        line = next((n for n, (a, b) in enumerate(pairs, 1) if a != b), 0)
        raise MismatchError(
            f"{where}: {what} {made.name}.v isn't the file that this program gives: line {line} differs. "
            "Write it anew: program.to_verilog(directory, overwrite=True)."
        )
    raise MismatchError(f"{where}: {_first_layer(backend, graph, pixels, made.share) or what}")


def _first_layer(backend: str, graph: IntegerGraph, pixels: np.ndarray, share: str | int) -> str:
    """The first node whose Verilog gives other numbers, found by cutting the program after each that has a module."""
    for count in range(2, len(graph.nodes)):
        part = dataclasses.replace(graph, nodes=graph.nodes[:count])
        if isinstance(part.output.operation, Flatten):
            continue
        few = pixels[:8]
        made = design(part, *part.input_shape[1:], "part", share)
        found, _ = SIMULATORS[backend](made, made.text, few)
        expected, shaped = run_numpy(part, few), _in_order(found, part, len(few))
        if shaped is None:
            return f"`{part.output.name}` gives {found.size:,} values where {expected.size:,} are due."
        if not np.array_equal(shaped, expected):
            return located(part.output, expected, shaped)
    return ""
