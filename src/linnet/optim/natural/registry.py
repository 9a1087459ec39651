"""The approximations by name. A new one is one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from linnet.optim.natural.approximation import Approximation
from linnet.optim.natural.dual.blocks import Block, Tridiagonal
from linnet.optim.natural.dual.exact import Exact
from linnet.optim.natural.kronecker.kfac import Kfac
from linnet.optim.natural.kronecker.unitwise import Unitwise

APPROXIMATIONS: Mapping[str, type[Approximation]] = MappingProxyType(
    {
        "exact": Exact,
        "block": Block,
        "tridiagonal": Tridiagonal,
        "kfac": Kfac,
        "unit": Unitwise,
    }
)
