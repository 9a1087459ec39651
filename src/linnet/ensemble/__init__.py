"""Sure: a trained network becomes an ensemble that knows what it doesn't know.

`widen` makes one network wider and proves that it computes the same.
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.ensemble.widening.construction import widen
    from linnet.ensemble.widening.report import WidenedClass, Widening

__all__ = ["WidenedClass", "Widening", "widen"]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {"widening.construction": "widen", "widening.report": "WidenedClass Widening"},
)
