"""All blocks together: their product with the gradient, how they were inverted, and checks that numbers are finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock, Sums

_ALIKE = 0.03
_LARGE = 2**14  # entries of a weight; products of smaller ones take no time


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


@torch.no_grad()
def narrow(blocks: Mapping[str, Block], gradient: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> None:
    """Keeps the inverses of large layers in bfloat16 where that gives the same direction but for 3 % of its length.

    Products are faster then where the processor has instructions for it. The error is that of rounding, another one
    at each step, and below that of a batch's gradient by far. Only for float32 on CPUs that
    multiply bfloat16.

    Args:
        blocks: With new inverses.
        gradient: By name.
        delta: What the inverses make of it.
    """
    if not multiplies_bfloat16():
        return
    for block in blocks.values():
        if not isinstance(block, KroneckerBlock) or gradient[block.weight].numel() < _LARGE:
            continue
        twin = block.narrowed()
        if twin is None:
            continue
        apart = [moved - delta[name] for name, moved in twin.times(gradient).items()]
        norms = [float(nn.utils.get_total_norm(d)) for d in (apart, [delta[name] for name in block.names])]
        if norms[0] <= _ALIKE * norms[1]:
            block.a_inverse, block.b_inverse = twin.a_inverse, twin.b_inverse


@cache
def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16, as torch tells it."""
    told = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(told.get("avx512_bf16") or told.get("amx_bf16"))


def together(every: Iterable[Mapping[str, Sums]]) -> dict[str, Sums]:
    """The sums of several forwards added up, in those of the first that has a block."""
    result: dict[str, Sums] = {}
    for sums in every:
        for key, part in sums.items():
            if key in result:
                result[key].add(part)
            else:
                result[key] = part
    return result


def take(sums: Mapping[str, Sums], found: Mapping[str, Block], blocks: dict[str, Block], *, ema: float) -> None:
    """Takes sums into the running means of blocks, all or none.

    Args:
        sums: By key.
        found: New blocks, by key.
        blocks: The blocks so far; those whose parameters another one covers now go.
        ema: Decay.
    """
    for part in sums.values():
        finite(part)
    for key, part in sums.items():
        if not part.samples:
            continue
        block = found.get(key) or blocks[key]
        replaced = [k for k, b in blocks.items() if b is not block and set(b.names) & set(block.names)]
        for old in replaced:  # of parameters that were frozen, or are no longer
            del blocks[old]
        block.update(part, ema=ema)
        blocks[key] = block


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
