"""Traces and spectral sums of matrices that are known by their products, in the ways of the literature.

No method of the package needs them: a spectral density deflates first (`linnet.spectra.density`), and a Fisher matrix'
trace is known exactly. They stand here as an independent way to the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.core.linalg.estimate import Estimate
from linnet.core.linalg.implicit_matrix import ImplicitMatrix, Matvec
from linnet.core.linalg.lanczos import ritz_pairs
from linnet.errors import InputError


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
    starts = rademacher(implicit, probes, rng_seed).unbind(1)
    runs = [ritz_pairs(matrix, steps=steps, start=start, dtype=dtype) for start in starts]
    return Quadrature(implicit.size, tuple(r.values for r in runs), tuple(r.weights for r in runs))


def hutchinson(
    matrix: Tensor | Matvec,
    *,
    probes: int,
    size: int | None = None,
    device: torch.device | str = "cpu",
    rng_seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Estimate:
    """tr A by the mean of z^T A z over Rademacher vectors z; exact for diagonal matrices.

    Args:
        matrix: (n, n), or a function from (n,) to (n,).
        probes: Vectors z, one product each, 2 or more.
        size: n, needed with a function.
        device: Where a function's vectors live; a matrix knows its own.
        rng_seed: Seed of the vectors.
        dtype: What is computed in.

    Returns:
        Estimate and standard error.

    Raises:
        InputError: fewer than 2 probes, or `size` missing.

    Source:
        Hutchinson 1990.
    """
    if probes < 2:
        raise InputError(f"`probes` must be >= 2 for a standard error (got {probes}).")
    implicit = ImplicitMatrix.of(matrix, size=size, dtype=dtype, device=device)
    z = rademacher(implicit, probes, rng_seed)
    return Estimate.of((z * implicit.columns(z)).sum(0))


def hutch_plus_plus(
    matrix: Tensor | Matvec,
    *,
    products: int,
    size: int | None = None,
    device: torch.device | str = "cpu",
    rng_seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Estimate:
    """tr A as an exact trace on the range of A S plus Hutchinson on the rest.

    Exact for rank(A) <= products / 3, unless the sign vectors of S are dependent, as those of small matrices may be.

    tr A = tr(Q^T A Q) + tr((I - Q Q^T) A (I - Q Q^T)), Q an orthonormal basis of A S.

    Args:
        matrix: (n, n), or a function from (n,) to (n,).
        products: m, products with A: a third each for A S, for A Q and for the rest; 6 or more.
        size: n, needed with a function.
        device: Where a function's vectors live; a matrix knows its own.
        rng_seed: Seed of the vectors.
        dtype: What is computed in.

    Returns:
        Estimate, and the standard error of its random part.

    Raises:
        InputError: fewer than 6 products, or `size` missing.

    Source:
        Meyer, Musco, Musco & Woodruff 2021, algorithm 1.
    """
    if products < 6:
        raise InputError(f"`products` must be >= 6: a third each for range, trace and rest (got {products}).")
    implicit = ImplicitMatrix.of(matrix, size=size, dtype=dtype, device=device)
    third = products // 3
    signs = rademacher(implicit, 2 * third, rng_seed)
    basis = torch.linalg.qr(implicit.columns(signs[:, :third])).Q
    rest = signs[:, third:] - basis @ (basis.T @ signs[:, third:])
    exact = float((basis * implicit.columns(basis)).sum())
    return Estimate.of((rest * implicit.columns(rest)).sum(0), offset=exact)


def rademacher(implicit: ImplicitMatrix, count: int, rng_seed: int) -> Tensor:
    """(n, count) of -1 and +1, the same on every device."""
    generator = torch.Generator().manual_seed(rng_seed)
    signs = torch.randint(0, 2, (implicit.size, count), generator=generator)
    return (2 * signs - 1).to(implicit.device, implicit.dtype)
