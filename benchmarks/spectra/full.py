"""N = 1000, C = 10: the whole kernel and its spectrum in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.goal import bounded, machine_state
from benchmarks.process import own_process
from benchmarks.small_networks import batch
from benchmarks.spectra.kernels import NETS, key_of
from linnet.results import Record
from linnet.spectra import fisher


def wide_mlp(*, quick: bool) -> list[Record]:
    """The wide perceptron."""
    return [_measured("wide MLP (2 x 4096)", quick=quick)]


def small_resnet(*, quick: bool) -> list[Record]:
    """The small residual network."""
    return [_measured("small ResNet", quick=quick)]


def _measured(name: str, *, quick: bool) -> Record:
    """One network at full size, in a process of its own."""
    samples = 20 if quick else 1000
    done = own_process(spectrum_call, name, samples, int(quick), peak="process")
    return bounded(
        f"spectra.full.{key_of(name)}",
        f"peak memory of the full Fisher spectrum, {name}, N = {samples}, C = 10: {done.value}, {done.wall_s:.0f} s in "
        "all",
        done.peak_bytes / 2**30,
        bound=8.0,
        goal="<= 8 GiB",
        beside="the machine's memory",
        unit="GiB",
        context={"wall_s": round(done.wall_s, 1)} | machine_state(),
    )


def spectrum_call(name: str, samples: int, quick: int) -> Callable[[], object]:
    """The spectrum, and its largest eigenvalues in words."""
    torch.manual_seed(0)
    make, shape = NETS[name]
    model, x = make(bool(quick)), batch(shape, samples)[0]

    def run() -> str:
        found = fisher(model, x)
        top = ", ".join(f"{value:.4g}" for value in found.eigenvalues[:3])
        products = sum(cost.wall_s for cost in found.method.layers)
        return f"{len(found.eigenvalues):,} eigenvalues, the largest {top}, the kernel's products {products:.0f} s"

    return run
