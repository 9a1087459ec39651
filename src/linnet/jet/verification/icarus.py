"""The Verilog of a program in Icarus Verilog, where a register that was never reset is x and not 0."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import numpy as np

from linnet.errors import MismatchError
from linnet.jet.verilog.network import Design
from linnet.jet.verilog.project import bench, hexadecimal
from linnet.jet.verilog.tools import tool

_WATCH = """    always @(posedge clk)
        if (counting && out_valid !== 1'b0 && !rst) $display("OUT %h", out_data);
"""


def simulated_by_icarus(
    design: Design, text: str, pixels: np.ndarray, *, rng_seed: int = 1
) -> tuple[np.ndarray, float]:
    """The output of frames, by the test bench that is written beside the Verilog.

    Arguments and result are those of `linnet.jet.verification.cxxrtl.simulated`.

    Raises:
        MismatchError: an output is x or z.
        ToolError: Icarus is missing or fails.
    """
    rows = pixels.transpose(0, 2, 3, 1).reshape(-1, design.input.channels)
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        (folder / "design.v").write_text(text)
        (folder / f"{design.name}_frames.hex").write_text(hexadecimal(design.input, rows))
        (folder / f"{design.name}_expected.hex").write_text("")
        watched = bench(design, len(rows), 1).replace("    initial begin", _WATCH + "\n    initial begin", 1)
        (folder / "bench.v").write_text(watched)
        tool("iverilog").run("-g2001", "-o", "bench", "design.v", "bench.v", cwd=folder)
        begun = time.perf_counter()
        said = tool("vvp").run("bench", f"+seed={rng_seed}", cwd=folder)
        words = re.findall(r"^OUT (\S+)$", said, re.MULTILINE)
        unknown = next((n for n, word in enumerate(words) if re.search("[xzXZ]", word)), None)
        if unknown is not None:
            raise MismatchError(
                f"icarus: output {unknown} of `{design.name}` is {words[unknown]}: a value is undefined."
            )
        return _values(design, words), time.perf_counter() - begun


def _values(design: Design, words: list[str]) -> np.ndarray:
    stream = design.output
    mask, top = (1 << stream.bits) - 1, 1 << (stream.bits - 1)
    found = []
    for word in (int(w, 16) for w in words):
        for c in range(stream.channels):
            value = word >> (stream.bits * c) & mask
            if stream.is_sign:
                value = 2 * value - 1
            elif stream.signed and value >= top:
                value -= mask + 1
            found.append(value)
    return np.array(found, np.int64)
