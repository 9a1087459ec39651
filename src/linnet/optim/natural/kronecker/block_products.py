"""All blocks together: their product with the gradient, how they were inverted, and checks that numbers are finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.kronecker_block import Sums


def filled(gradients: Mapping[str, Tensor], blocks: Mapping[str, Block], model: nn.Module) -> dict[str, Tensor]:
    """A gradient for every parameter that has curvature: 0 where the loss didn't reach it, or it is frozen."""
    values = dict(model.named_parameters())
    names = (name for block in blocks.values() for name in block.names)
    return {name: torch.zeros_like(values[name]) for name in names if name not in gradients} | dict(gradients)


def require_finite(gradients: Mapping[str, Tensor]) -> None:
    """Raises ArithmeticError where a gradient isn't finite."""
    if not bool(torch.isfinite(nn.utils.get_total_norm(gradients.values())).all()):
        raise ArithmeticError("a gradient holds NaN or infinity")


@torch.no_grad()
def times_all(
    blocks: Mapping[str, Block], uncovered: Mapping[str, str], gradient: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """G^-1 of the gradient; the gradient itself where there is no curvature."""
    delta = {name: gradient[name] for name in uncovered if name in gradient}
    for block in blocks.values():
        delta |= block.times(gradient)
    return delta


def finite(sums: Sums) -> Sums:
    """|M_ij| <= sqrt(M_ii M_jj) in a sum of outer products: a finite diagonal says that all of it is."""
    given = [m for m in (sums.a, sums.b) if m is not None]
    diagonals = [(m if m.ndim == 2 else m.diagonal(dim1=-2, dim2=-1)).sum() for m in given]
    squares = [v.square().sum() for v in (sums.a_vectors, sums.b_vectors) if v is not None]
    if not bool(torch.isfinite(torch.stack([*diagonals, *squares]).sum())):
        raise ArithmeticError("a curvature factor holds NaN or infinity")
    return sums


def routes(blocks: Mapping[str, Block]) -> str:
    """How the blocks were inverted, with counts."""
    counts: dict[str, int] = {}
    for block in blocks.values():
        if block.a_inverse is None:  # frozen before its first inverse
            continue
        counts[block.route] = counts.get(block.route, 0) + 1
    return "; ".join(f"{count} x {route}" for route, count in counts.items())
