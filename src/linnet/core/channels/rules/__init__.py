"""One rule per operator: how channel labels flow through it. Importing this registers all of them."""

from linnet.core.channels.rules import attention, indexing, layers, pointwise, reductions, shapes

__all__ = ["attention", "indexing", "layers", "pointwise", "reductions", "shapes"]
