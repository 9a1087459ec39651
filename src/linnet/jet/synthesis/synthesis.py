"""`Program.synth`: LUTs, flip-flops, block RAMs and the clock of a program's Verilog, layer by layer."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from linnet.errors import BudgetError, InputError
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.synthesis.cells import Cells, mapped
from linnet.jet.synthesis.devices import DEVICES, Device
from linnet.jet.synthesis.harness import harness
from linnet.jet.synthesis.place import clocks_mhz
from linnet.jet.verilog.network import Design, design
from linnet.jet.verilog.tools import tool
from linnet.suggest import is_whole, one_of

TARGET_MHZ = 150.0  # asked of place and route, which stops trying once it has it


@dataclass(frozen=True)
class Synthesis:
    """What a design takes.

    Attributes:
        device: "ecp5", "ice40" or "xc7".
        frame: Height and width that it was made for.
        layers: Node's name and cells of each module, mapped alone.
        total: Of the whole design, mapped flat; the harness is taken off.
        harness: What the harness of shift registers takes by itself.
        available_lut: LUTs of the chip.
        fmax_mhz: Highest clock of each seed; () where nothing was placed.
        versions: Of the tools.
        note: What the LUT count holds.
        program_hash: Of the program.
    """

    device: str
    frame: tuple[int, int]
    layers: tuple[tuple[str, Cells], ...]
    total: Cells
    harness: Cells
    available_lut: int
    fmax_mhz: tuple[float, ...]
    versions: tuple[str, ...]
    note: str
    program_hash: str

    @property
    def median_mhz(self) -> float:
        """Median of `fmax_mhz`; nan where nothing was placed."""
        return statistics.median(self.fmax_mhz) if self.fmax_mhz else float("nan")

    @property
    def frames_per_second(self) -> float:
        """At the median clock, one pixel a clock."""
        return self.median_mhz * 1e6 / (self.frame[0] * self.frame[1])

    def __str__(self) -> str:
        lines = [f"{'layer':20}{'LUT':>8}{'FF':>8}{'BRAM':>8}{'DSP':>8}"]
        rows = [*self.layers, ("whole design, flat", self.total)]
        lines += [f"{name[:20]:20}{c.lut:>8,}{c.ff:>8,}{c.bram:>8g}{c.dsp:>8}" for name, c in rows]
        lines.append(
            f"LUT: {self.note}; {self.total.lut / self.available_lut:.1%} of {self.available_lut:,} on {self.device}."
        )
        lines.append(f"Taken off: a harness of shift registers with {self.harness.lut} LUT and {self.harness.ff} FF.")
        if self.fmax_mhz:
            ends = f"{min(self.fmax_mhz):.1f} to {max(self.fmax_mhz):.1f}"
            lines.append(
                f"{self.median_mhz:.1f} MHz (median of {len(self.fmax_mhz)} seeds, {ends}): "
                f"{self.frames_per_second:,.0f} frames of {self.frame[0]} x {self.frame[1]} a second."
            )
        return "\n".join([*lines, ", ".join(self.versions)])


def synthesised(
    graph: IntegerGraph,
    device: str,
    height: int | None,
    width: int | None,
    *,
    seeds: Sequence[int],
    max_lut: int | None,
    share: str | int = "auto",
) -> Synthesis:
    """Maps each layer and the whole, and places the whole with each seed.

    Args:
        graph: The program.
        device: "ecp5", "ice40" or "xc7".
        height: Of a frame; None: the program's.
        width: Likewise.
        seeds: Of the placement, three or more; none for mapping alone.
        max_lut: LUTs that the design may take.
        share: Whether outputs take turns in the same adders.

    Raises:
        BudgetError: it takes more; the largest layer is named.
        InputError: an unknown device, or one or two seeds.
        FreezeError: a layer that a stream can't hold.
        ToolError: a tool is missing or fails.
    """
    chosen = DEVICES[one_of("device", device, tuple(DEVICES))]
    _check(seeds, max_lut)
    if len(graph.input_shape) != 3:
        raise InputError(
            f"`synth` takes networks of images (this one takes {graph.input_shape[0]} numbers). Freeze one of images."
        )
    own = graph.input_shape[1:]
    made = design(graph, own[0] if height is None else height, own[1] if width is None else width, "net", share)
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        layers = tuple((layer.node, mapped(layer.text, layer.module, chosen, folder)) for layer in made.layers)
        bare = mapped(_harness(made, ""), "bare", chosen, folder)
        whole = mapped(made.text + _harness(made, made.name), "whole", chosen, folder, netlist="whole.json")
        total = whole - bare
        _require_budget(total, layers, max_lut, chosen)
        placed = bool(chosen.place and seeds)
        clocks = clocks_mhz(folder / "whole.json", chosen, seeds, TARGET_MHZ) if placed else ()
    versions = tuple(tool(name).version for name in ("yosys", *[chosen.place] * placed))
    frame = (made.input.height, made.input.width)
    return Synthesis(
        device, frame, layers, total, bare, chosen.available, clocks, versions, chosen.note, made.graph.hash
    )


def _harness(made: Design, net: str) -> str:
    return harness("whole" if net else "bare", net, made.input.bus, made.output.bus)


def _check(seeds: Sequence[int], max_lut: int | None) -> None:
    if not all(is_whole(seed, 0) for seed in seeds):
        raise InputError(f"`seeds` must be whole numbers >= 0 (got {list(seeds)}). E.g. (1, 2, 3).")
    if len(set(seeds)) in (1, 2):
        raise InputError(f"`seeds` must be three or more, or none for mapping alone (got {list(seeds)}).")
    if max_lut is not None and not is_whole(max_lut, 1):
        raise InputError(f"`max_lut` must be a whole number >= 1 (got {max_lut!r}).")


def _require_budget(total: Cells, layers: Sequence[tuple[str, Cells]], max_lut: int | None, device: Device) -> None:
    limit = device.available if max_lut is None else max_lut
    if total.lut <= limit or (max_lut is None and not device.place):
        return
    name, largest = max(layers, key=lambda layer: layer[1].lut)
    what = f"`max_lut` is {max_lut:,}" if max_lut is not None else f"the {device.name} chip has {limit:,} LUTs"
    raise BudgetError(
        f"{what}, and the design takes {total.lut:,}. `{name}` takes the most, {largest.lut:,}: give it fewer channels."
    )
