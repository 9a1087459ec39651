"""The Verilog of a program in a folder, with its interface as JSON, a test bench and a top for a small package."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from linnet.errors import InputError
from linnet.jet.c.project import write_folder
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.reference.numpy_reference import run_numpy
from linnet.jet.verilog.identifier import identifier
from linnet.jet.verilog.network import Design, design
from linnet.jet.verilog.streams import Stream

FRAMES = 4  # of random pixels, in the test bench


def write_verilog(
    graph: IntegerGraph,
    directory: str | os.PathLike[str],
    height: int | None,
    width: int | None,
    name: str,
    *,
    overwrite: bool,
    share: str | int = "auto",
) -> list[Path]:
    """Writes name.v, name.json, name_tb.v with its two tables of hexadecimal words, and name_demo.v.

    Args:
        graph: The program.
        directory: The folder, made if it is missing.
        height: Of a frame; None: the program's.
        width: Likewise.
        name: Of the top module and the files.
        overwrite: Whether files that stand there may be replaced.
        share: "auto": outputs take turns in the same adders where positions come seldom; 1: they don't.

    Returns:
        The paths.

    Raises:
        InputError: the name is no identifier, the folder holds files, or the size doesn't fit.
        FreezeError: a layer that a stream can't hold.
    """
    if len(graph.input_shape) != 3:
        raise InputError(
            f"The Verilog takes images, and this network takes {graph.input_shape[0]} numbers. Python and C run it."
        )
    own_height, own_width = graph.input_shape[1:]
    rows, columns = own_height if height is None else height, own_width if width is None else width
    made = design(graph, rows, columns, identifier(name), share)
    return write_folder(directory, texts_of(made), overwrite=overwrite)


def texts_of(made: Design) -> dict[str, str]:
    """The files of a design by name."""
    pixels = np.random.default_rng(0).integers(
        made.graph.input.low, made.graph.input.high + 1, (FRAMES, *made.graph.input_shape)
    )
    found = run_numpy(made.graph, pixels)
    rows = found.transpose(0, 2, 3, 1) if found.ndim == 4 else found
    rows = rows.reshape(-1, made.output.channels)
    frames = pixels.transpose(0, 2, 3, 1).reshape(-1, made.input.channels)
    return {
        f"{made.name}.v": made.text,
        f"{made.name}.json": json.dumps(made.interface, indent=2) + "\n",
        f"{made.name}_tb.v": bench(made, len(frames), len(rows)),
        f"{made.name}_frames.hex": hexadecimal(made.input, frames),
        f"{made.name}_expected.hex": hexadecimal(made.output, rows),
        f"{made.name}_demo.v": demo(made),
    }


def bench(made: Design, pixels: int, results: int) -> str:
    """A test bench that feeds the frames with gaps and compares what comes out."""
    return _filled(
        "bench.v",
        name=made.name, in_high=made.input.bus - 1, out_high=made.output.bus - 1, pixels=pixels, results=results,
        latency=made.latency,
    )  # fmt: skip


def demo(made: Design) -> str:
    """A top with six pins, which goes through place and route in any package."""
    return _filled("demo.v", name=made.name, in_bits=made.input.bus, out_bits=made.output.bus)


def hexadecimal(stream: Stream, rows: np.ndarray) -> str:
    """One word of a bus a line, as $readmemh reads it."""
    mask, digits = (1 << stream.bits) - 1, -(-stream.bus // 4)
    lines = []
    for row in rows.astype(np.int64).tolist():
        values = [(v + 1) // 2 for v in row] if stream.is_sign else row
        word = sum((v & mask) << (stream.bits * c) for c, v in enumerate(values))
        lines.append(f"{word:0{digits}x}")
    return "\n".join(lines) + "\n"


def _filled(file: str, **words: object) -> str:
    return Template((files("linnet.jet.verilog") / "runtime" / file).read_text()).substitute(words)
