"""Tiny: binarized and jet layers, and the exact integer program that a trained network becomes.

`JetConv2d`, `BinaryConv2d`, `BinaryLinear` and `Sign` are plain modules for any training loop; `convert` puts them into
a network that exists. `freeze` turns the trained network into a `Program` of integers, which runs here.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.jet.c.compiled import CProgram as CProgram, load_c as load_c
    from linnet.jet.conversion import Conversion as Conversion, convert as convert
    from linnet.jet.freezing.network import freeze as freeze
    from linnet.jet.kernel_family import kernel_name as kernel_name
    from linnet.jet.latents import parameter_groups as parameter_groups
    from linnet.jet.layers import (
        BinaryConv2d as BinaryConv2d,
        BinaryLinear as BinaryLinear,
        JetConv2d as JetConv2d,
        Sign as Sign,
    )
    from linnet.jet.program import Program as Program

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
