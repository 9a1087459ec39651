"""Understood: the network's neural tangent kernel.

Names:
    ntk                 J J^T of all weight layers together, or layer by layer
    infinite_width_ntk  its limit for a perceptron whose layers grow wide
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.spectra.infinite_width import infinite_width_ntk
    from linnet.spectra.kernel_engine import ntk

__all__ = ["infinite_width_ntk", "ntk"]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "infinite_width": "infinite_width_ntk",
        "kernel_engine": "ntk",
    },
)
