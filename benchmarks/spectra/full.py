"""N = 1000, C = 10: the whole kernel and its spectrum in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.goal import bounded
from benchmarks.process import own_process
from benchmarks.small_networks import batch
from benchmarks.spectra.kernels import NETS
from linnet.results import Record
from linnet.spectra import fisher


def measure(*, quick: bool) -> list[Record]:
    """Both networks at full size, each in a process of its own."""
    samples = 20 if quick else 1000
    records = []
    for name in NETS:
        done = own_process(spectrum_call, name, samples, int(quick), peak="process")
        records.append(
            bounded(
                f"spectra.full.{name.split(' (')[0].replace(' ', '_').lower()}",
                f"full Fisher spectrum, {name}, N = {samples}, C = 10: {done.value}, {done.wall_s:.0f} s",
                done.peak_bytes / 2**30,
                bound=8.0,
                goal="<= 8 GiB",
                beside="the machine's memory",
                unit="GiB",
                context={"wall_s": round(done.wall_s, 1)},
            )
        )
    return records


def spectrum_call(name: str, samples: int, quick: int) -> Callable[[], object]:
    """The spectrum, and its largest eigenvalues in words."""
    torch.manual_seed(0)
    make, shape = NETS[name]
    model, x = make(bool(quick)), batch(shape, samples)[0]

    def run() -> str:
        found = fisher(model, x)
        top = ", ".join(f"{value:.4g}" for value in found.eigenvalues[:3])
        return f"{len(found.eigenvalues):,} eigenvalues, the largest {top}"

    return run
