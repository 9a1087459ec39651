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
    from linnet.spectra.fisher_spectrum import fisher as fisher
    from linnet.spectra.infinite_width import infinite_width_ntk as infinite_width_ntk
    from linnet.spectra.kernel_engine import TraceKernel as TraceKernel, ntk as ntk
    from linnet.spectra.mean_field import MeanField as MeanField, theory as theory
    from linnet.spectra.network_theory import theory_for as theory_for
    from linnet.spectra.safe_step import SafeLR as SafeLR, safe_lr as safe_lr
    from linnet.spectra.signal_metrics import (
        feature_metric as feature_metric,
        input_metric as input_metric,
        steepest_directions as steepest_directions,
    )
    from linnet.spectra.spectral_density import Density as Density, density as density
    from linnet.spectra.spectrum import Spectrum as Spectrum
    from linnet.spectra.training_trial import (
        LRMap as LRMap,
        VerifiedLR as VerifiedLR,
        lr_map as lr_map,
        verify_lr as verify_lr,
    )

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
