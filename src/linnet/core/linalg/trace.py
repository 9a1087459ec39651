"""Traces of matrices that are known by their products, each with its standard error."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from linnet.core.linalg.implicit_matrix import ImplicitMatrix, Matvec
from linnet.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A mean over independent probes.

    Attributes:
        value: The estimate.
        standard_error: Standard deviation of the probes divided by the square root of their number.
        probes: How many.
    """

    value: float
    standard_error: float
    probes: int

    @classmethod
    def of(cls, samples: Tensor, *, offset: float = 0.0) -> Self:
        """The mean of `samples` (k,), k >= 2, plus an exactly known part."""
        count = len(samples)
        return cls(offset + float(samples.mean()), float(samples.std()) / count**0.5, count)


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
    z = implicit.rademacher(probes, rng_seed)
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
    signs = implicit.rademacher(2 * third, rng_seed)
    basis = torch.linalg.qr(implicit.columns(signs[:, :third])).Q
    rest = signs[:, third:] - basis @ (basis.T @ signs[:, third:])
    exact = float((basis * implicit.columns(basis)).sum())
    return Estimate.of((rest * implicit.columns(rest)).sum(0), offset=exact)
