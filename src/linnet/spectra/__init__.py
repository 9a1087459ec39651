"""Understood: the geometry of a network, beside what theory says it should be.

Names:
    ntk                 J J^T of all weight layers together, or layer by layer
    fisher              the spectrum of the Fisher information, with its moments, blocks and density
    density             a spectral density from products alone, with error bars
    infinite_width_ntk  its limit for a perceptron whose layers grow wide
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.spectra.fisher_spectrum import fisher
    from linnet.spectra.infinite_width import infinite_width_ntk
    from linnet.spectra.kernel_engine import TraceKernel, ntk
    from linnet.spectra.spectral_density import Density, density
    from linnet.spectra.spectrum import Spectrum

__all__ = ["Density", "Spectrum", "TraceKernel", "density", "fisher", "infinite_width_ntk", "ntk"]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "fisher_spectrum": "fisher",
        "infinite_width": "infinite_width_ntk",
        "kernel_engine": "TraceKernel ntk",
        "spectral_density": "Density density",
        "spectrum": "Spectrum",
    },
)
