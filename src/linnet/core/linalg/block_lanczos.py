"""The largest eigenvalues of a symmetric matrix by block Lanczos, with the residual of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.core.linalg.implicit_matrix import ImplicitMatrix, Matvec
from linnet.errors import InputError
from linnet.suggest import is_number, is_whole

_DEPENDENT = 1e-10  # of a column's length before it was orthogonalised: what is left below it is rounding


@dataclass(frozen=True)
class TopEigenpairs:
    """The k largest eigenvalues as the Krylov space knows them.

    Attributes:
        values: Ritz values, (k,), descending; each is at most the eigenvalue that it stands for.
        residuals: |A v - theta v|, (k,): an eigenvalue lies at most so far from theta.
        vectors: v, (n, k), orthonormal.
        products: Products with A that it took.
    """

    values: Tensor
    residuals: Tensor
    vectors: Tensor
    products: int


def block_lanczos(
    matrix: Tensor | Matvec,
    count: int,
    *,
    start: Tensor | None = None,
    size: int | None = None,
    device: torch.device | str = "cpu",
    block: int | None = None,
    steps: int = 60,
    tolerance: float = 1e-9,
    rng_seed: int = 0,
    dtype: torch.dtype = torch.float64,
    told: Callable[[int, float], None] | None = None,
) -> TopEigenpairs:
    """The largest eigenvalues of a symmetric positive semi-definite matrix.

    The space spanned by V, A V, A^2 V, ... grows by a block a step; every new block is orthogonalised twice against all
    before, and the Ritz pairs' residuals are taken from the products themselves. A block as wide as the eigenvalue's
    multiplicity finds nearly equal eigenvalues at once, which single vectors don't.

    Args:
        matrix: (n, n), or a function from (n,) to (n,).
        count: k.
        start: First vectors, (n, b), in which the wanted eigenvectors are expected; random ones fill the block up.
        size: n, needed with a function unless `start` is given.
        device: Where a function's vectors live; a matrix knows its own.
        block: Width of a block; None: k, or the width of `start` if that is more.
        steps: Blocks at most.
        tolerance: Residuals must fall to so much of the largest Ritz value.
        rng_seed: Seed of the random vectors.
        dtype: What is computed in, beside the products.
        told: Called after each block with the number of products and the largest residual over the largest value.

    Returns:
        min(k, n) pairs.

    Raises:
        InputError: an argument can't be used; the residuals haven't fallen far enough, and the largest is shown.

    Source:
        Golub & Underwood 1977; full re-orthogonalisation and residuals from stored products: linnet's choice.
    """
    if not is_whole(count, 1) or not is_whole(steps, 1):
        raise InputError(f"`count` and `steps` must be 1 or more (got {count!r} and {steps!r}).")
    if not is_number(tolerance, 0.0):
        raise InputError(f"`tolerance` must be a number >= 0 (got {tolerance!r}).")
    given = len(start) if start is not None and size is None else size
    implicit = ImplicitMatrix.of(matrix, size=given, dtype=dtype, device=device if start is None else start.device)
    count = min(count, implicit.size)
    wide = min(implicit.size, max(block or 0, count, 0 if start is None else start.shape[1]))
    space = _Space(implicit)
    fresh = _first(implicit, start, wide, rng_seed)
    found, worst = None, math.inf
    for _ in range(steps):
        added = space.add(fresh)
        found = space.pairs(count)
        worst = float(found.residuals.max() / found.values.abs().max().clamp_min(torch.finfo(dtype).tiny))
        if told is not None:
            told(found.products, worst)
        full = space.size >= implicit.size or added == 0
        if full or (worst <= tolerance and space.size >= count):
            return found
        fresh = space.last_products()
    assert found is not None
    raise InputError(
        f"The {count} largest eigenvalues must converge to {tolerance:.1g} of the largest within {steps} blocks of "
        f"{wide} (got a residual of {worst:.2g} after {found.products} products). Raise `steps` or `tolerance`, or ask "
        "for fewer."
    )


class _Space:
    """An orthonormal basis Q and the products A Q."""

    def __init__(self, implicit: ImplicitMatrix) -> None:
        self._implicit = implicit
        self._basis: list[Tensor] = []
        self._products: list[Tensor] = []

    @property
    def size(self) -> int:
        """Columns of Q."""
        return sum(block.shape[1] for block in self._basis)

    def add(self, block: Tensor) -> int:
        """Adds what of a block is new; gives how many columns that is."""
        before = block.norm(dim=0).clamp_min(torch.finfo(block.dtype).tiny)
        for _ in range(2):
            for known in self._basis:
                block = block - known @ (known.T @ block)
        block = block[:, block.norm(dim=0) > _DEPENDENT * before]
        if not block.shape[1]:
            return 0
        q, r = torch.linalg.qr(block)
        q = q[:, r.diagonal().abs() > _DEPENDENT * r.diagonal().abs().max()]
        for known in self._basis:
            q = q - known @ (known.T @ q)
        q = torch.linalg.qr(q).Q
        self._basis.append(q)
        self._products.append(self._implicit.columns(q))
        return q.shape[1]

    def last_products(self) -> Tensor:
        """A times the block that came last."""
        return self._products[-1]

    def pairs(self, count: int) -> TopEigenpairs:
        """Ritz pairs of the space, largest first, with their residuals."""
        q, aq = torch.cat(self._basis, dim=1), torch.cat(self._products, dim=1)
        inner = q.T @ aq
        values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
        chosen = vectors[:, -count:].flip(1)
        values = values[-count:].flip(0)
        full = q @ chosen
        residuals = (aq @ chosen - full * values).norm(dim=0)
        return TopEigenpairs(values, residuals, full, q.shape[1])


def _first(implicit: ImplicitMatrix, start: Tensor | None, wide: int, rng_seed: int) -> Tensor:
    """The first block: what is given, then Gaussian vectors."""
    generator = torch.Generator().manual_seed(rng_seed)
    missing = wide - (0 if start is None else start.shape[1])
    drawn = torch.randn(implicit.size, max(missing, 0), generator=generator, dtype=torch.float64)
    drawn = drawn.to(implicit.device, implicit.dtype)
    if start is None:
        return drawn
    if start.ndim != 2 or len(start) != implicit.size or not bool(torch.isfinite(start).all()):
        raise InputError(f"`start` must hold finite vectors of length {implicit.size} (got {tuple(start.shape)}).")
    return torch.cat([start.to(implicit.device, implicit.dtype), drawn], dim=1)
