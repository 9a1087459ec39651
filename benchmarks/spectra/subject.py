"""Subject "spectra": kernels, spectra and top eigenvalues beside other hands' code, and a network of torchvision."""

from __future__ import annotations

from benchmarks.spectra import contractions, full, kernels, real, top
from benchmarks.subject import Subject

SUBJECT = Subject(
    {
        "kernels": kernels.measure,
        "top": top.measure,
        "trace": top.trace,
        "contractions": contractions.measure,
        "real": real.measure,
        "full": full.measure,
    }
)
