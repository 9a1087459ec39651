"""Understood: the geometry of a network, beside what theory says it should be.

Names:
    ntk                 J J^T of all weight layers together, or layer by layer
    fisher              the spectrum of the Fisher information, with its moments, blocks and density
    density             a spectral density from products alone, with error bars
    theory, theory_for  what mean-field theory expects of a random network, or of one like a given perceptron
    safe_lr, verify_lr  the largest step size of gradient descent, and a trial just below and above it
    lr_map              where training goes down, over step sizes and widths
    input_metric, feature_metric, steepest_directions   which directions of a signal move the outputs
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
    from linnet.spectra.safe_step import SafeLR, safe_lr
    from linnet.spectra.signal_metrics import feature_metric, input_metric, steepest_directions
    from linnet.spectra.spectral_density import Density, density
    from linnet.spectra.spectrum import Spectrum
    from linnet.spectra.training_trial import LRMap, VerifiedLR, lr_map, verify_lr

__all__ = [
    "Density",
    "LRMap",
    "MeanField",
    "SafeLR",
    "Spectrum",
    "TraceKernel",
    "VerifiedLR",
    "density",
    "feature_metric",
    "fisher",
    "infinite_width_ntk",
    "input_metric",
    "lr_map",
    "ntk",
    "safe_lr",
    "steepest_directions",
    "theory",
    "theory_for",
    "verify_lr",
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
        "safe_step": "SafeLR safe_lr",
        "signal_metrics": "feature_metric input_metric steepest_directions",
        "spectral_density": "Density density",
        "spectrum": "Spectrum",
        "training_trial": "LRMap VerifiedLR lr_map verify_lr",
    },
)
