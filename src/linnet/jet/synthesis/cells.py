"""Counts of cells by yosys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from linnet.errors import ToolError
from linnet.jet.synthesis.devices import Device
from linnet.jet.verilog.tools import tool


@dataclass(frozen=True)
class Cells:
    """Cells that a piece of the design takes.

    Attributes:
        lut: LUTs, with what the device's note says.
        ff: Flip-flops.
        bram: Block RAMs.
        dsp: Multiplier blocks.
    """

    lut: int
    ff: int
    bram: float
    dsp: int

    def __sub__(self, other: Cells) -> Cells:
        return Cells(self.lut - other.lut, self.ff - other.ff, self.bram - other.bram, self.dsp - other.dsp)


def mapped(text: str, top: str, device: Device, folder: Path, *, netlist: str = "") -> Cells:
    """The cells of a module and all it holds, flattened.

    Args:
        text: Verilog with the module.
        top: Its name.
        device: What it is mapped to.
        folder: Of the tool's files.
        netlist: File for place and route.

    Raises:
        ToolError: yosys is missing or fails.
    """
    (folder / f"{top}.v").write_text(text)
    write = f"; write_json {netlist}" if netlist else ""
    script = f"read_verilog {top}.v; {device.script} -top {top}; tee -q -o {top}.stat stat -json{write}"
    tool("yosys").run("-q", "-p", script, cwd=folder)
    return counted(_cells((folder / f"{top}.stat").read_text()), device)


def counted(cells: Mapping[str, int], device: Device) -> Cells:
    """Cells by type as LUTs, flip-flops, block RAMs and multipliers."""

    def total(names: Mapping[str, float]) -> float:
        return sum(n * w for cell, n in cells.items() for pattern, w in names.items() if fnmatch(cell, pattern))

    ones = [dict.fromkeys(names, 1.0) for names in (device.ffs, device.dsps)]
    return Cells(round(total(device.luts)), round(total(ones[0])), total(device.brams), round(total(ones[1])))


def _cells(said: str) -> Mapping[str, int]:
    found = re.search(r"\{.*\}", said, re.DOTALL)
    if found is None:
        raise ToolError(f"yosys told no counts of cells:\n{said[:400]}")
    parts = json.loads(found[0])
    whole = parts.get("design") or next(iter(parts["modules"].values()))
    return whole["num_cells_by_type"]
