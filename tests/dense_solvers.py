"""Damped solves and Kronecker products by dense definitions, exact where a closed form exists.

`linnet.optim.natural` solves in batches; this is an independent way to the same numbers.

Row-major convention: for V (O, I), (G (x) A) vec(V) = vec(G V A^T). Everything is solved in float64 unless told
otherwise and returned in the dtype of the right-hand side. Nothing is ever added to a diagonal in silence.
"""

import math
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from linnet.errors import InputError


def kronecker_product(g: Tensor, a: Tensor, v: Tensor) -> Tensor:
    """(G (x) A) vec(V) as a matrix: G V A^T.

    Args:
        g: (O, O).
        a: (I, I).
        v: (..., O, I).

    Returns:
        (..., O, I).
    """
    return g @ v @ a.transpose(-1, -2)


@dataclass(frozen=True)
class KroneckerSolver:
    """Eigenvectors of both factors, from which damped solves with any damping are four products.

    Attributes:
        a_values: d_A, (I,), ascending.
        a_vectors: U_A, (I, I).
        g_values: d_G, (O,), ascending.
        g_vectors: U_G, (O, O).
    """

    a_values: Tensor
    a_vectors: Tensor
    g_values: Tensor
    g_vectors: Tensor

    @classmethod
    def of(cls, a: Tensor, g: Tensor, *, dtype: torch.dtype = torch.float64) -> Self:
        """Decomposes A (I, I) and G (O, O), symmetric and positive semi-definite.

        Raises:
            InputError: a factor isn't a finite square matrix.
        """
        return cls(*_eigh(_square(a, "a").to(dtype)), *_eigh(_square(g, "g").to(dtype)))

    def solve(self, v: Tensor, *, damping: float) -> Tensor:
        """(G (x) A + lambda I)^-1 vec(V), exactly: U_G [(U_G^T V U_A) / (d_G d_A^T + lambda)] U_A^T.

        At damping 0 this is the pseudo-inverse: eigenvalues up to max(O, I) * eps * largest count as 0.

        Args:
            v: (..., O, I).
            damping: lambda >= 0.

        Returns:
            (..., O, I) in the dtype of `v`.

        Raises:
            InputError: `damping` is negative; the damped product isn't positive definite.
        """
        _check_damping(damping)
        products = torch.outer(self.g_values, self.a_values)
        inverse = _reciprocal(products, damping, size=max(products.shape))
        inner = self.g_vectors.T @ v.to(products.dtype) @ self.a_vectors
        return (self.g_vectors @ (inner * inverse) @ self.a_vectors.T).to(v.dtype)


def kronecker_solve(
    a: Tensor, g: Tensor, v: Tensor, *, damping: float, damped: Literal["product", "factors"] = "product"
) -> Tensor:
    """(G (x) A + lambda I)^-1 vec(V), exactly or with the damping put into the factors.

    "factors" solves with (G + sqrt(lambda)/pi I) (x) (A + pi sqrt(lambda) I), which is another matrix: cheaper
    (Cholesky, no eigenvectors) and not an approximation of the inverse with a bound.

    Args:
        a: (I, I), symmetric, positive semi-definite.
        g: (O, O), likewise.
        v: (..., O, I).
        damping: lambda >= 0; 0 gives the pseudo-inverse.
        damped: What the damping is added to.

    Returns:
        (..., O, I) in the dtype of `v`.

    Raises:
        InputError: a factor isn't a finite square matrix, or isn't positive semi-definite.

    Source:
        Factored damping with pi^2 = (tr A / I) / (tr G / O): Martens & Grosse 2015, section 6.3.
    """
    if damped not in ("product", "factors"):
        raise InputError(f"`damped` must be 'product' or 'factors' (got {damped!r}).")
    if damped == "product" or damping == 0.0:
        return KroneckerSolver.of(a, g).solve(v, damping=damping)
    for_a, for_g = factored_damping(a, g, damping=damping)
    half = solve(g, v.to(torch.float64), damping=for_g)
    return solve(a, half.transpose(-1, -2), damping=for_a).transpose(-1, -2).to(v.dtype)


def factored_damping(a: Tensor, g: Tensor, *, damping: float) -> tuple[float, float]:
    """pi sqrt(lambda) for A and sqrt(lambda) / pi for G, with pi^2 = (tr A / I) / (tr G / O).

    Raises:
        InputError: `damping` is negative, or a trace isn't above 0.
    """
    _check_damping(damping)
    means = [float(_square(m, name).diagonal().double().mean()) for m, name in ((a, "a"), (g, "g"))]
    if min(means) <= 0.0:
        raise InputError(
            f"Both factors must have mean diagonals above 0 to share the damping (got {means[0]:.3g} and "
            f"{means[1]:.3g}). Use damped='product'."
        )
    pi = math.sqrt(means[0] / means[1])
    return pi * math.sqrt(damping), math.sqrt(damping) / pi


def solve(matrix: Tensor, right: Tensor, *, damping: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """(K + lambda I)^-1 B by Cholesky; at damping 0 the pseudo-inverse.

    At damping 0 eigenvalues of K up to n * eps * largest count as 0.

    Args:
        matrix: K, (n, n), symmetric.
        right: B, (n,) or (..., n, m).
        damping: lambda >= 0.
        dtype: What is computed in.

    Returns:
        The solution in the shape and dtype of `right`.

    Raises:
        InputError: K isn't a finite square matrix; K + lambda I isn't positive definite: the message gives the smallest
            eigenvalue and a damping that would do.
    """
    _check_damping(damping)
    symmetric = _square(matrix, "matrix").to(dtype)
    columns = (right.unsqueeze(-1) if right.ndim == 1 else right).to(dtype)
    if damping == 0.0:
        values, vectors = _eigh(symmetric)
        inverse = _reciprocal(values, 0.0, size=len(values))
        solution = vectors @ (inverse.unsqueeze(-1) * (vectors.T @ columns))
    else:
        damped = symmetric + damping * torch.eye(len(symmetric), dtype=dtype, device=symmetric.device)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if int(failed):
            raise _not_positive(float(torch.linalg.eigvalsh(symmetric)[0]), symmetric, damping)
        solution = torch.cholesky_solve(columns, factor)
    return (solution.squeeze(-1) if right.ndim == 1 else solution).to(right.dtype)


def damped_least_squares(jacobian: Tensor, v: Tensor, *, damping: float, samples: int | None = None) -> Tensor:
    """(J^T J / N + lambda)^-1 J^T v = J^T (J J^T / N + lambda)^-1 v, by the smaller of the two sides.

    Args:
        jacobian: J, (n, P).
        v: (n,) or (n, m).
        damping: lambda >= 0; 0 gives the minimum-norm limit.
        samples: N; None for n.

    Returns:
        (P,) or (P, m), in the dtype of `v`.

    Raises:
        InputError: shapes disagree, `samples` is below 1, or as `solve`.
    """
    rows, columns = jacobian.shape
    divisor = rows if samples is None else samples
    if len(v) != rows:
        raise InputError(f"`v` and `jacobian` must have one row per output (got {len(v)} and {rows}).")
    if divisor < 1:
        raise InputError(f"`samples` must be >= 1 (got {divisor}).")
    wide = jacobian.double()
    if columns < rows:
        return solve(wide.T @ wide / divisor, wide.T @ v.double(), damping=damping).to(v.dtype)
    return (wide.T @ solve(wide @ wide.T / divisor, v.double(), damping=damping)).to(v.dtype)


def _reciprocal(values: Tensor, damping: float, *, size: int) -> Tensor:
    """1 / (values + damping); at damping 0 the entries up to size * eps * largest give 0."""
    if damping == 0.0:
        cut = size * torch.finfo(values.dtype).eps * values.abs().max()
        return torch.where(values.abs() > cut, values.reciprocal(), 0.0)
    damped = values + damping
    if float(damped.min()) <= 0.0:
        raise _not_positive(float(values.min()), values, damping)
    return damped.reciprocal()


def _not_positive(smallest: float, matrix: Tensor, damping: float) -> InputError:
    """The error of a damped matrix that isn't positive definite, with a damping that would do."""
    margin = len(matrix) * torch.finfo(matrix.dtype).eps * float(matrix.abs().max())
    enough = max(0.0, -smallest) + max(margin, 1e-12)
    return InputError(
        f"The matrix plus damping {damping:.3g} isn't positive definite: its smallest eigenvalue is {smallest:.6g}. "
        f"A damping above {-smallest:.6g} is needed: {enough * 1.01:.3g} would do."
    )


def _eigh(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(symmetric)
    return values, vectors


def _square(matrix: Tensor, name: str) -> Tensor:
    """The symmetric part of a finite square matrix."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"`{name}` must be a square matrix (got shape {tuple(matrix.shape)}).")
    if not bool(torch.isfinite(matrix).all()):
        raise InputError(f"`{name}` must have finite entries (got NaN or infinity).")
    return (matrix + matrix.T) / 2


def _check_damping(damping: float) -> None:
    if not 0.0 <= damping < math.inf:
        raise InputError(f"`damping` must be a finite number >= 0 (got {damping}).")
