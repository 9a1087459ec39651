"""The chips that a design is mapped to, and how their cells are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Device:
    """One family of chips.

    Attributes:
        name: As the caller gives it.
        script: The command of yosys that maps to it.
        place: Name of the place-and-route tool; "" where there is only mapping.
        options: Its options for the chip.
        available: LUTs of that chip.
        luts: Cell -> LUTs that it takes.
        ffs: Cells that are flip-flops.
        brams: Cell -> block RAMs that it takes.
        dsps: Cells that multiply.
        note: What the LUT count holds.
    """

    name: str
    script: str
    place: str
    options: tuple[str, ...]
    available: int
    luts: Mapping[str, float]
    ffs: tuple[str, ...]
    brams: Mapping[str, float]
    dsps: tuple[str, ...]
    note: str


_XILINX = {f"LUT{n}": 1.0 for n in range(1, 7)}
DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        "ecp5": Device(
            "ecp5", "synth_ecp5", "nextpnr-ecp5", ("--25k", "--package", "CABGA256"), 24288,
            {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}, ("TRELLIS_FF",),
            {"DP16KD": 1, "PDPW16KD": 1}, ("MULT18X18D", "ALU54B"),
            "4-input LUTs, two for each pair of carry bits, six for 16 x 4 bits of distributed RAM",
        ),
        "ice40": Device(
            "ice40", "synth_ice40", "nextpnr-ice40", ("--hx8k", "--package", "ct256"), 7680,
            {"SB_LUT4": 1}, ("SB_DFF*",), {"SB_RAM40_4K*": 1}, ("SB_MAC16",),
            "4-input LUTs; a carry lies in the logic cell of its LUT",
        ),
        "xc7": Device(
            "xc7", "synth_xilinx", "", (), 63400,
            {**_XILINX, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "SRL*": 1},
            ("FDRE", "FDSE", "FDCE", "FDPE"), {"RAMB18E1": 0.5, "RAMB36E1": 1}, ("DSP48E1",),
            "6-input LUTs with those used as RAM or shift register; mapping only, no place and route",
        ),
    }
)  # fmt: skip
"""By name; `available` is of the LFE5U-25F, the HX8K and the XC7A100T."""
