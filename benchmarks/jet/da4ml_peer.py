"""LUTs of the adder trees that da4ml makes of the same kernels, through the same yosys.

da4ml unrolls a product of a vector and a constant matrix. It is given the bits under one window and gives all sums of
the layer, in one combinational block: its LUTs hold no line buffer, no registers and no control, and ours do.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from linnet.jet import BinaryConv2d, JetConv2d
from linnet.jet.synthesis.cells import Cells, mapped
from linnet.jet.synthesis.devices import DEVICES
from linnet.jet.verilog.tools import missing, tool
from linnet.results import Record

MISSING = "da4ml can't be imported: `pip install da4ml` (LGPL-3, Linux x86_64 and macOS arm64 wheels)"


def adder_trees(*, quick: bool) -> list[Record]:
    """Jets and binary 3 x 3 kernels, 8 -> 8 and 16 -> 16 on ECP5, beside ours."""
    from benchmarks.jet.lut import layer

    if missing("yosys") or quick:
        return []
    found = []
    for cin, cout in ((8, 8), (16, 16)):
        for word, make in (("jets", JetConv2d), ("binary", BinaryConv2d)):
            facts = {
                "what": f"LUTs of da4ml's adders alone, {word} 3x3 {cin} -> {cout}, ecp5",
                "beside": "our layer with line buffer and registers", "goal": "measured",
            }  # fmt: skip
            name = f"jet.lut.ecp5.{cin}.{cout}.da4ml.{word}"
            if importlib.util.find_spec("da4ml") is None:
                found.append(Record.measured(name, None, context=facts | {"reason": MISSING}))
                continue
            conv = make(cin, cout, padding=1)
            ours, theirs = layer(conv, cin, "ecp5"), trees(conv)
            versions = f"{tool('yosys').version}, da4ml {importlib.metadata.version('da4ml')}"
            facts |= {"da4ml_lut": theirs.lut, "our_lut": ours.lut, "our_ff": ours.ff, "version": versions}
            facts |= {"goal": ">= 1x", "least": 1.0} if word == "jets" else {}
            if word == "jets" and theirs.lut < ours.lut:
                facts["reason"] = (
                    f"{theirs.lut:,} against {ours.lut:,} LUTs: it shares partial sums over all outputs, and its count "
                    "holds adders alone"
                )
            found.append(Record.measured(name, theirs.lut / ours.lut, unit="x", context=facts))
    return found


def trees(conv: nn.Module) -> Cells:
    """The cells of one window's sums."""
    text = verilog(conv.kernels().numpy().astype(np.int64))
    with tempfile.TemporaryDirectory() as place:
        return mapped(text, "trees", DEVICES["ecp5"], Path(place))


def verilog(kernels: np.ndarray) -> str:
    """da4ml's Verilog for sums over bits: kernels (cout, cin, k, k), inputs 0 and 1 in the order cin, k, k.

    With bits b for signs 2b - 1 the layer's sum is 2 (K b) - sum K, whose constants belong to the threshold after it.
    """
    import da4ml.codegen.rtl.verilog as rtl
    from da4ml.trace import FixedVariableArrayInput, comb_trace

    matrix = kernels.reshape(len(kernels), -1).T
    given = FixedVariableArrayInput(len(matrix))
    bits = given.quantize(k=0, i=1, f=0)
    made = comb_trace(given, bits @ matrix.astype(np.float64))
    text = rtl.comb_logic_gen(made, "trees")
    files = sorted((Path(rtl.__file__).parent / "source").glob("*.v"))
    return "\n".join([*(path.read_text() for path in files if f"{path.stem} #(" in text), text])
