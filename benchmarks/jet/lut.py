"""LUTs of jets beside binary convolutions in the same Verilog style, and the clock of the program that comes along."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from torch import nn

from linnet.jet import BinaryConv2d, JetConv2d, Program, Sign, freeze
from linnet.jet.shipped import shipped
from linnet.jet.synthesis.cells import Cells, mapped
from linnet.jet.synthesis.devices import DEVICES
from linnet.jet.verilog.network import design
from linnet.jet.verilog.tools import missing, tool
from linnet.results import Record

GOAL = 1 / (1 - 0.24)  # jets at least 24 % smaller at 16 -> 16


def areas(*, quick: bool) -> list[Record]:
    """8 -> 8 and 16 -> 16 on ECP5."""
    return _areas("ecp5", ((8, 8),) if quick else ((8, 8), (16, 16)))


def large_areas(*, quick: bool) -> list[Record]:
    """16 -> 32 on ECP5."""
    return [] if quick else _areas("ecp5", ((16, 32),))


def xilinx_areas(*, quick: bool) -> list[Record]:
    """All three on Xilinx 7."""
    return [] if quick else _areas("xc7", ((8, 8), (16, 16), (16, 32)))


def clock(*, quick: bool) -> list[Record]:
    """The shipped 28 x 28 network on ECP5, placed with three seeds."""
    return [] if quick or missing("yosys", "nextpnr-ecp5") else [_clock("fashion", shipped("fashion"))]


def digits_clock(*, quick: bool) -> list[Record]:
    """A network of jets that learned MNIST, 28 x 28, likewise."""
    return _trained_clock("mnist", quick=quick)


def boards_clock(*, quick: bool) -> list[Record]:
    """A network of jets that learned to inspect circuit boards, 32 x 32, likewise."""
    return _trained_clock("deeppcb", quick=quick)


def _trained_clock(data: str, *, quick: bool) -> list[Record]:
    """The study's network of width 8 with jets of free taps, trained as the study trains it."""
    if quick or missing("yosys", "nextpnr-ecp5"):
        return []
    from papers.simons2021_jets.scales import SCALES
    from papers.simons2021_jets.training import images_of, integer_program, trained

    images = images_of(data, SCALES["cpu"], None)
    settings = {"data": data, "kind": "jet_free", "width": 8, "lr": 0.1, "seed": 0}
    net, _, _ = trained(settings, images, SCALES["cpu"])
    return [_clock(data, integer_program(net, images))]


def _clock(name: str, program: Program) -> Record:
    told = program.synth("ecp5")
    frame = " x ".join(map(str, told.frame))
    facts = {
        "what": f"{name} network, {frame}, on ECP5-25F: clock, one pixel each", "beside": "", "lut": told.total.lut,
        "ff": told.total.ff, "bram": told.total.bram, "dsp": told.total.dsp, "seeds_mhz": list(told.fmax_mhz),
        "frames_per_second": round(told.frames_per_second), "layers": json.dumps({n: c.lut for n, c in told.layers}),
        "goal": ">= 100 MHz", "least": 100.0, "version": ", ".join(told.versions),
    }  # fmt: skip
    return Record.measured(f"jet.clock.ecp5.{name}", told.median_mhz, unit="MHz", context=facts)


def shared(*, quick: bool) -> list[Record]:
    """The whole shipped network with outputs that take turns, and without."""
    if quick or missing("yosys"):
        return []
    alone, turns = (shipped("fashion").synth("ecp5", seeds=(), share=share).total for share in (1, "auto"))
    facts = {
        "what": "LUTs of the shipped network with adders of their own for all outputs, ecp5",
        "beside": "outputs taking turns", "alone_lut": alone.lut, "turns_lut": turns.lut, "alone_ff": alone.ff,
        "turns_ff": turns.ff, "turns_bram": turns.bram, "goal": "measured", "version": tool("yosys").version,
    }  # fmt: skip
    return [Record.measured("jet.lut.ecp5.shared", alone.lut / turns.lut, unit="x", context=facts)]


def _areas(device: str, shapes: tuple[tuple[int, int], ...]) -> list[Record]:
    """One 3 x 3 layer on signs with its line buffer, 28 pixels a row, one pixel a clock, random weights."""
    if missing("yosys"):
        return []
    found = []
    for cin, cout in shapes:
        binary = layer(BinaryConv2d(cin, cout, padding=1), cin, device)
        for taps in ("free", "first_one"):
            jets = layer(JetConv2d(cin, cout, taps=taps, padding=1), cin, device)
            facts = {
                "what": f"LUTs of binary 3x3 {cin} -> {cout}, {device}", "beside": f"jets, taps {taps}",
                "binary_lut": binary.lut, "jet_lut": jets.lut, "binary_ff": binary.ff, "jet_ff": jets.ff,
                "version": tool("yosys").version,
            }  # fmt: skip
            facts |= {"goal": ">= 1.32x", "least": GOAL} if (cin, cout) == (16, 16) else {"goal": "measured"}
            name = f"jet.lut.{device}.{cin}.{cout}.{taps}"
            found.append(Record.measured(name, binary.lut / jets.lut, unit="x", context=facts))
    return found


def layer(conv: nn.Module, cin: int, device: str) -> Cells:
    """The cells of a convolution that reads signs, alone."""
    torch.manual_seed(0)
    for parameter in conv.parameters():
        nn.init.uniform_(parameter, -1, 1)
    net = nn.Sequential(BinaryConv2d(1, cin, 1), nn.BatchNorm2d(cin), Sign(), conv)
    made = design(freeze(net.eval(), torch.randint(0, 256, (1, 1, 28, 28))).graph, 28, 28, "net", 1)
    made_layer = next(part for part in made.layers if part.node == "3")
    with tempfile.TemporaryDirectory() as place:
        return mapped(made_layer.text, made_layer.module, DEVICES[device], Path(place))
