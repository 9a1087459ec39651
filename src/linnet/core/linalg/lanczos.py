"""Lanczos with full re-orthogonalisation, and spectral sums by quadrature."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.core.linalg.implicit_matrix import ImplicitMatrix, Matvec
from linnet.core.linalg.trace import Estimate
from linnet.errors import InputError

BREAKDOWN = 1e-12  # relative to the largest Ritz value: below it the Krylov space is exhausted


@dataclass(frozen=True)
class Lanczos:
    """What k steps of Lanczos know of a symmetric matrix.

    Attributes:
        values: Ritz values, (k,), ascending.
        residuals: |beta_k s_ki|: the distance of each Ritz value to an eigenvalue is at most this, (k,).
        weights: Squared first components of the tridiagonal matrix' eigenvectors, (k,); they sum to 1.
        vectors: Ritz vectors, (n, k).
    """

    values: Tensor
    residuals: Tensor
    weights: Tensor
    vectors: Tensor


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

    A Q = Q T + beta_k q_{k+1} e_k^T with T tridiagonal; every new vector is orthogonalised twice against all before.
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


@dataclass(frozen=True)
class Quadrature:
    """Gauss rules of several probes: spectral sums tr f(A) of a symmetric matrix.

    Attributes:
        size: n.
        nodes: Ritz values of each probe.
        weights: Weights of each probe; each sums to 1.
    """

    size: int
    nodes: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]

    def trace(self, function: Callable[[Tensor], Tensor]) -> Estimate:
        """tr f(A), estimated by n * sum_i w_i f(theta_i), mean over the probes.

        Args:
            function: f, applied to a tensor of eigenvalues.

        Returns:
            The estimate with its standard error over the probes. Exact for f = 1 and, with Rademacher probes and enough
            steps, for f(x) = x of a diagonal matrix.
        """
        pairs = zip(self.nodes, self.weights, strict=True)
        return Estimate.of(torch.stack([self.size * (w * function(x)).sum() for x, w in pairs]))


def quadrature(
    matrix: Tensor | Matvec,
    *,
    steps: int,
    probes: int,
    size: int | None = None,
    device: torch.device | str = "cpu",
    rng_seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Quadrature:
    """Stochastic Lanczos quadrature: a Gauss rule for the spectral density as seen by each of several random vectors.

    Args:
        matrix: (n, n), symmetric, or a function from (n,) to (n,).
        steps: Lanczos steps a probe; k steps integrate polynomials up to degree 2k - 1 exactly for that probe.
        probes: Rademacher vectors, 2 or more.
        size: n, needed with a function.
        device: Where a function's vectors live; a matrix knows its own.
        rng_seed: Seed of the probes.
        dtype: What is computed in.

    Returns:
        The rules.

    Raises:
        InputError: `steps` below 1 or `probes` below 2.

    Source:
        Ubaru, Chen & Saad 2017; Golub & Meurant 2010.
    """
    if steps < 1 or probes < 2:
        raise InputError(f"`steps` must be >= 1 and `probes` >= 2 (got {steps} and {probes}).")
    implicit = ImplicitMatrix.of(matrix, size=size, dtype=dtype, device=device)
    starts = implicit.rademacher(probes, rng_seed) / math.sqrt(implicit.size)
    runs = [_run(implicit, start, min(steps, implicit.size)) for start in starts.unbind(1)]
    return Quadrature(implicit.size, tuple(r.values for r in runs), tuple(r.weights for r in runs))


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
    basis = start.new_zeros(implicit.size, steps)
    diagonal: list[float] = []
    beside: list[float] = []
    scale, vector = 0.0, start
    for k in range(steps):
        basis[:, k] = vector
        product = implicit(vector)
        diagonal.append(float(vector @ product))
        known = basis[:, : k + 1]
        for _ in range(2):
            product = product - known @ (known.T @ product)
        beta = float(product.norm())
        beside.append(beta)
        scale = max(scale, abs(diagonal[-1]) + beta)
        if beta <= BREAKDOWN * scale:
            beside[-1] = 0.0
            break
        vector = product / beta
    return _ritz(basis[:, : len(diagonal)], diagonal, beside)


def _ritz(basis: Tensor, diagonal: list[float], beside: list[float]) -> Lanczos:
    """Eigenpairs of the tridiagonal matrix, seen from the full space."""
    inner = basis.new_tensor(beside[:-1])
    tridiagonal = torch.diag(basis.new_tensor(diagonal)) + torch.diag(inner, 1) + torch.diag(inner, -1)
    values, vectors = torch.linalg.eigh(tridiagonal)
    return Lanczos(values, (beside[-1] * vectors[-1]).abs(), vectors[0].square(), basis @ vectors)
