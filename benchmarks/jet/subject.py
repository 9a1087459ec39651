"""`python -m benchmarks jet`: C beside onnxruntime and torch, flash, operation counts, training, freezing."""

from __future__ import annotations

from benchmarks.jet import bank, cortex, da4ml_peer, held, lut, sizes, speed
from benchmarks.subject import Subject

SUBJECT = Subject(
    {
        "conv": speed.convolutions,
        "bank": bank.beside_composed,
        "held": held.records,
        "net": speed.whole_net,
        "training": speed.training,
        "tools": speed.tools,
        "flash": sizes.flash,
        "operations": sizes.operations,
        "cortex": cortex.core,
        "lut": lut.areas,
        "lut_large": lut.large_areas,
        "lut_da4ml": da4ml_peer.adder_trees,
        "lut_xc7": lut.xilinx_areas,
        "lut_shared": lut.shared,
        "clock": lut.clock,
        "clock_mnist": lut.digits_clock,
        "clock_boards": lut.boards_clock,
    }
)
