"""Tiny: binarized and jet layers, and the exact integer program that a trained network becomes.

`JetConv2d`, `BinaryConv2d`, `BinaryLinear` and `Sign` are plain modules for any training loop; `convert` puts them into
a network that exists. `freeze` turns the trained network into a `Program` of integers, which runs here.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.jet.c.compiled import CProgram, load_c
    from linnet.jet.conversion import Conversion, convert
    from linnet.jet.freezing.network import freeze
    from linnet.jet.kernel_family import kernel_name
    from linnet.jet.latents import parameter_groups
    from linnet.jet.layers import BinaryConv2d, BinaryLinear, JetConv2d, Sign
    from linnet.jet.program import Program

__all__ = [
    "BinaryConv2d",
    "BinaryLinear",
    "CProgram",
    "Conversion",
    "JetConv2d",
    "Program",
    "Sign",
    "convert",
    "freeze",
    "kernel_name",
    "load_c",
    "parameter_groups",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "c.compiled": "CProgram load_c",
        "conversion": "Conversion convert",
        "freezing.network": "freeze",
        "kernel_family": "kernel_name",
        "latents": "parameter_groups",
        "layers": "BinaryConv2d BinaryLinear JetConv2d Sign",
        "program": "Program",
    },
)
