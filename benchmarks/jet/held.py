"""The AVX2 path beside torch held to AVX2, in a process of its own, as torch reads its limit when it starts."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks import ROOT
from linnet.results import Record

LIMITS = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def records(*, quick: bool) -> list[Record]:
    """The rows of 64, 128 and 256 channels."""
    command = [sys.executable, "-m", "benchmarks.jet.held", "quick" if quick else "full"]
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    environment = {**os.environ, **LIMITS, "PYTHONPATH": paths}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [Record.from_json(line) for line in run.stdout.splitlines() if line.startswith("{")]


def _measure(*, quick: bool) -> None:
    import torch
    from torch import nn

    from benchmarks.jet.networks import SIDE, caller, compiled, one_conv
    from benchmarks.jet.speed import faster

    torch.set_num_threads(1)
    for channels in (64,) if quick else (64, 128, 256):
        program, net = one_conv(channels, jets=False)
        loaded = compiled(program)
        x, weight = torch.randn(1, channels, SIDE, SIDE).sign(), net[3].kernels().float()
        record = faster(
            f"jet.conv.{channels}.avx2.held", f"3x3 binarized convolution, C = {channels}, avx2 path",
            caller(loaded, program, "avx2"), lambda w=weight, v=x: nn.functional.conv2d(v, w),
            "torch float32 held to AVX2", least=4.0, pairs=5 if quick else 41,
        )  # fmt: skip
        print(record.to_json())


if __name__ == "__main__":
    _measure(quick=sys.argv[1] == "quick")
