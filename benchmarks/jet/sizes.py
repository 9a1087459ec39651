"""Flash of tables and code beside float32 weights, and operation counts beside binary convolution."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import torch
from torch import nn

from benchmarks.jet.networks import small_net
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.jet.c.compiled import compiler
from linnet.jet.c.source import c_source
from linnet.jet.integer.cost import per_position
from linnet.results import Record


def flash(*, quick: bool) -> list[Record]:
    """Tables, and tables with code (-Os, 32-bit words, portable), as a share of the float32 weights."""
    found = []
    for kind, widths in ((BinaryConv2d, (8, 16, 32)), (BinaryConv2d, (64, 128, 128)), (JetConv2d, (64, 128, 128))):
        net = small_net(kind, widths)
        program = freeze(net, torch.randint(0, 256, (1, 1, 28, 28)))
        weights = sum(m.kernels().numel() for m in net if isinstance(m, (JetConv2d, BinaryConv2d, BinaryLinear)))
        tables, everything = _bytes(program)
        word = f"{kind.__name__} {'/'.join(map(str, widths))}, {weights:,} weights"
        for part, size in (("tables", tables), ("tables + code", everything)):
            large = weights > 100_000 and kind is BinaryConv2d
            facts = {"what": f"flash of {part}, {word}", "beside": "float32 weights", "bytes": size}
            facts |= {"goal": ">= 25x smaller", "least": 25.0} if large else {"goal": "measured"}
            ratio = 4 * weights / size
            if large and ratio < 25:
                facts["reason"] = "limits and the first layer's bytes count too"
            name = f"jet.flash.{kind.__name__}.{widths[0]}.{part.replace(' ', '')}"
            found.append(Record.measured(name, ratio, unit="x", context=facts))
        if quick:
            break
    return found


def _bytes(program: object) -> tuple[int, int]:
    made = c_source(program.graph, "net", 32)  # pyright: ignore[reportAttributeAccessIssue]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "net.c").write_text(made.source)
        (folder / "net.h").write_text(made.header)
        command = [
            compiler(),
            "-std=c99",
            "-Os",
            "-DLINNET_JET_PORTABLE",
            "-c",
            "-o",
            str(folder / "net.o"),
            str(folder / "net.c"),
        ]
        subprocess.run(command, check=True)
        sizes = subprocess.run(["size", str(folder / "net.o")], capture_output=True, text=True, check=True).stdout
    return made.table_bytes, int(sizes.splitlines()[1].split()[0])


def operations(*, quick: bool) -> list[Record]:
    """Operation counts of 3 x 3 jets beside binary, one output position."""
    found = []
    for cin, cout in ((8, 8), (16, 16)) if quick else ((8, 8), (16, 16), (16, 32), (32, 32), (64, 64)):
        torch.manual_seed(0)
        net = nn.Sequential(JetConv2d(1, cin), nn.BatchNorm2d(cin), Sign(), JetConv2d(cin, cout))
        cost = freeze(net.eval(), torch.zeros(1, 1, 8, 8)).cost()
        jet, binary = (per_position(next(n for n in nodes if n.name == "3")) for nodes in (cost.nodes, cost.binary))
        ratio = (binary.xnor + binary.adds) / jet.adds
        facts = {
            "what": f"operations, {cin}->{cout}, 3x3 (XNOR + add over adds)", "beside": "binary", "goal": "measured",
            "adds_only": round(binary.adds / jet.adds, 2), "bit_weighted": round(binary.bit_adds / jet.bit_adds, 2),
        }  # fmt: skip
        facts |= {"goal": ">= 9x", "least": 9.0} if cin >= 16 else {}
        found.append(Record.measured(f"jet.operations.{cin}.{cout}", ratio, unit="x", context=facts))
        for word, key in (("additions alone", "adds_only"), ("bit-weighted additions", "bit_weighted")):
            row = {"what": f"{word}, {cin}->{cout}, 3x3", "beside": "binary", "goal": "beside the count"}
            found.append(Record.measured(f"jet.operations.{cin}.{cout}.{key}", facts[key], unit="x", context=row))
    return found
