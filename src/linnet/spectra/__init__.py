"""Understood: the network's neural tangent kernel.

Names:
    ntk   J J^T of all weight layers together, or layer by layer
"""

from linnet.spectra.ntk import ntk

__all__ = ["ntk"]
