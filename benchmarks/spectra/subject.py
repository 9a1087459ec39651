"""Subject "spectra": kernels, spectra and top eigenvalues beside other hands' code, and a network of torchvision."""

from __future__ import annotations

from benchmarks.spectra import contractions, density, full, kernels, real, top
from benchmarks.subject import Subject

SUBJECT = Subject(
    {
        "jacrev": kernels.jacrev,
        "memory": kernels.memory,
        "nngeometry": kernels.nngeometry,
        "batches": kernels.batches,
        "top": top.measure,
        "density": density.measure,
        "trace": top.trace,
        "contractions": contractions.measure,
        "real_resnet18": real.torchvision_resnet18,
        "real_unet": real.trained_unet,
        "full_mlp": full.wide_mlp,
        "full_resnet": full.small_resnet,
    }
)
