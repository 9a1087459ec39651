"""The highest clock that place and route reaches, over random seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from linnet.errors import ToolError
from linnet.jet.synthesis.devices import Device
from linnet.jet.verilog.tools import tool


def clocks_mhz(netlist: Path, device: Device, seeds: Sequence[int], target_mhz: float) -> tuple[float, ...]:
    """Fmax of each seed, in MHz.

    Args:
        netlist: JSON of yosys.
        device: With a place-and-route tool.
        seeds: Of the placement.
        target_mhz: What the tool tries to reach.

    Raises:
        ToolError: the tool is missing or fails, for instance because the design doesn't fit.
    """
    found = []
    for seed in seeds:
        report = netlist.with_name(f"report{seed}.json")
        tool(device.place).run(
            *device.options, "--json", netlist.name, "--report", report.name, "--seed", str(seed), "--freq",
            str(target_mhz), "--timing-allow-fail", "-q", cwd=netlist.parent,
        )  # fmt: skip
        clocks = json.loads(report.read_text())["fmax"]
        if not clocks:
            raise ToolError(f"{device.place} found no clock in {netlist.name}.")
        found.append(min(clock["achieved"] for clock in clocks.values()))
    return tuple(found)
