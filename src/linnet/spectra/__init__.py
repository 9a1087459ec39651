"""Understood: the network's neural tangent kernel.

Names:
    ntk                 J J^T of all weight layers together, or layer by layer
    infinite_width_ntk  its limit for a perceptron whose layers grow wide
"""

from linnet.spectra.infinite_width import infinite_width_ntk
from linnet.spectra.ntk import ntk

__all__ = ["infinite_width_ntk", "ntk"]
