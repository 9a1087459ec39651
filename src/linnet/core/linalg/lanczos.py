"""Lanczos: Ritz pairs with full re-orthogonalisation, and Gauss rules, which can do without it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from linnet.core.linalg.implicit_matrix import ImplicitMatrix, Matvec
from linnet.errors import InputError

_KEPT = 2_000_000  # elements of all vectors of a Gauss rule: 16 MB of float64
_CANCELLED = 0.7  # of its length: a vector that lost more to those before has kept rounding errors along them
BREAKDOWN = 1e-12  # relative to the largest Ritz value: below it the Krylov space is exhausted


@dataclass(frozen=True)
class Lanczos:
    """What k steps of Lanczos know of a symmetric matrix.

    Attributes:
        values: Ritz values, (k,), ascending.
        residuals: |beta_k s_ki|: the distance of each Ritz value to an eigenvalue is at most this, (k,).
        weights: Squared first components of the tridiagonal matrix' eigenvectors, (k,); they sum to 1.
    """

    values: Tensor
    residuals: Tensor
    weights: Tensor
    _basis: Tensor  # (k, n)
    _inner: Tensor  # the tridiagonal matrix' eigenvectors

    @cached_property
    def vectors(self) -> Tensor:
        """Ritz vectors, (n, k); computed when they are first read."""
        return self._basis.T @ self._inner


def ritz_pairs(
    matrix: Tensor | Matvec,
    *,
    steps: int,
    start: Tensor | None = None,
    size: int | None = None,
    device: torch.device | str = "cpu",
    rng_seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Lanczos:
    """Ritz values and vectors of a symmetric matrix after at most `steps` products.

    A Q = Q T + beta_k q_{k+1} e_k^T with T tridiagonal; every new vector is orthogonalised against all before, and
    once more where that took much of it away.
    Stops early when beta falls below 1e-12 of the matrix' norm: the Ritz values are then eigenvalues. Exact after
    rank(A) + 1 steps.

    Args:
        matrix: (n, n), or a function from (n,) to (n,).
        steps: Products at most.
        start: First vector, (n,), not 0; None for a Gaussian one.
        size: n, needed with a function unless `start` is given.
        device: Where a function's vectors live; a matrix knows its own.
        rng_seed: Seed of the Gaussian start.
        dtype: What is computed in.

    Returns:
        k <= steps Ritz pairs.

    Raises:
        InputError: `steps` below 1, a start that is 0 or of another length, or a product that isn't finite.
    """
    if steps < 1:
        raise InputError(f"`steps` must be >= 1 (got {steps}).")
    given = len(start) if start is not None and size is None else size
    implicit = ImplicitMatrix.of(matrix, size=given, dtype=dtype, device=device if start is None else start.device)
    return _run(implicit, _first(implicit, start, rng_seed), min(steps, implicit.size))


def gauss_rule(implicit: ImplicitMatrix, start: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the Gauss rule for a symmetric matrix and a vector: q^T phi(A) q = sum_i w_i phi(theta_i).

    Vectors are kept and made orthogonal to each other while they fit a processor's cache. Larger ones are made
    orthogonal to the last two alone, so that a step costs a product and little more: rounding then splits nodes that
    have converged into copies, which share the node's weight, and the sum stays.

    Args:
        implicit: A, (n, n).
        start: q, (n,), not 0; it is normalised.
        steps: Products at most.

    Returns:
        (k,) nodes, ascending, and (k,) weights that sum to 1; k <= steps.

    Raises:
        InputError: `start` is 0, not finite or of another length, or a product isn't finite.

    Source:
        Golub & Meurant 2010; rules of finite precision: Greenbaum 1989.
    """
    vector, steps = _first(implicit, start, 0), min(steps, implicit.size)
    if steps * implicit.size <= _KEPT:
        found = _run(implicit, vector, steps)
        return found.values, found.weights
    diagonal: list[float] = []
    beside: list[float] = []
    last, scale = torch.zeros_like(vector), 0.0
    for _ in range(steps):
        product = torch.sub(implicit(vector), last, alpha=beside[-1] if beside else 0.0)
        diagonal.append(float(vector @ product))
        product.sub_(vector, alpha=diagonal[-1])
        beside.append(float(product.norm()))
        scale = max(scale, abs(diagonal[-1]) + beside[-1])
        if beside[-1] <= BREAKDOWN * scale:
            break
        last, vector = vector, product.div_(beside[-1])
    values, vectors = _inner_pairs(vector, diagonal, beside)
    return values, vectors[0].square()


def _first(implicit: ImplicitMatrix, start: Tensor | None, rng_seed: int) -> Tensor:
    """The unit vector to start from."""
    if start is None:
        generator = torch.Generator().manual_seed(rng_seed)
        start = torch.randn(implicit.size, generator=generator, dtype=torch.float64)
    start = start.to(implicit.device, implicit.dtype)
    norm = float(start.norm())
    if start.shape != (implicit.size,) or not 0.0 < norm < math.inf:
        raise InputError(
            f"`start` must be a finite vector of length {implicit.size} other than 0 (got shape "
            f"{tuple(start.shape)} and norm {norm:.3g})."
        )
    return start / norm


def _run(implicit: ImplicitMatrix, start: Tensor, steps: int) -> Lanczos:
    """The recurrence."""
    basis = start.new_zeros(steps, implicit.size)  # vectors in rows: each is read and written in one piece
    diagonal: list[float] = []
    beside: list[float] = []
    scale, vector = 0.0, start
    for k in range(steps):
        basis[k] = vector
        product = implicit(vector)
        diagonal.append(float(vector @ product))
        near = product.new_tensor([*beside[-1:], diagonal[-1]])
        product = torch.addmv(product, basis[max(k - 1, 0) : k + 1].T, near, alpha=-1)
        product, beta = _orthogonal(product, basis[: k + 1])
        beside.append(beta)
        scale = max(scale, abs(diagonal[-1]) + beta)
        if beta <= BREAKDOWN * scale:
            beside[-1] = 0.0
            break
        vector = product / beta
    return _ritz(basis[: len(diagonal)], diagonal, beside)


def _orthogonal(vector: Tensor, known: Tensor) -> tuple[Tensor, float]:
    """A vector without its parts along orthonormal rows, and its length.

    Source:
        The test for the second pass: Daniel, Gragg, Kaufman & Stewart 1976.
    """
    before, after = float(vector.norm()), 0.0
    for _ in range(2):
        vector = torch.addmv(vector, known.T, known @ vector, alpha=-1)
        after = float(vector.norm())
        if after > _CANCELLED * before:
            break
    return vector, after


def _ritz(basis: Tensor, diagonal: list[float], beside: list[float]) -> Lanczos:
    """Eigenpairs of the tridiagonal matrix, seen from the full space."""
    values, vectors = _inner_pairs(basis, diagonal, beside)
    return Lanczos(values, (beside[-1] * vectors[-1]).abs(), vectors[0].square(), basis, vectors)


def _inner_pairs(like: Tensor, diagonal: Sequence[float], beside: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Eigenpairs of the tridiagonal matrix, of a tensor's type and device."""
    inner = like.new_tensor(beside[: len(diagonal) - 1])
    tridiagonal = torch.diag(like.new_tensor(diagonal)) + torch.diag(inner, 1) + torch.diag(inner, -1)
    values, vectors = torch.linalg.eigh(tridiagonal)
    return values, vectors
