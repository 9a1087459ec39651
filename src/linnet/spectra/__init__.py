"""Understood: the geometry of a network, beside what theory says it should be.

Names:
    ntk                 J J^T of all weight layers together, or layer by layer
    fisher              the spectrum of the Fisher information, with its moments, blocks and density
    density             a spectral density from products alone, with error bars
    theory, theory_for  what mean-field theory expects of a random network, or of one like a given perceptron
    infinite_width_ntk  its limit for a perceptron whose layers grow wide
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.spectra.fisher_spectrum import fisher
    from linnet.spectra.infinite_width import infinite_width_ntk
    from linnet.spectra.kernel_engine import TraceKernel, ntk
    from linnet.spectra.mean_field import MeanField, theory
    from linnet.spectra.network_theory import theory_for
    from linnet.spectra.spectral_density import Density, density
    from linnet.spectra.spectrum import Spectrum

__all__ = [
    "Density",
    "MeanField",
    "Spectrum",
    "TraceKernel",
    "density",
    "fisher",
    "infinite_width_ntk",
    "ntk",
    "theory",
    "theory_for",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "fisher_spectrum": "fisher",
        "infinite_width": "infinite_width_ntk",
        "kernel_engine": "TraceKernel ntk",
        "mean_field": "MeanField theory",
        "network_theory": "theory_for",
        "spectral_density": "Density density",
        "spectrum": "Spectrum",
    },
)
