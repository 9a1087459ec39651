"""The approximations by name. A new one is one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from linnet.optim.approximation import Approximation
from linnet.optim.blocks import Block, Tridiagonal
from linnet.optim.exact import Exact
from linnet.optim.kfac import Kfac
from linnet.optim.unitwise import Unitwise

APPROXIMATIONS: Mapping[str, type[Approximation]] = MappingProxyType(
    {
        "exact": Exact,
        "block": Block,
        "tridiagonal": Tridiagonal,
        "kfac": Kfac,
        "unit": Unitwise,
    }
)
