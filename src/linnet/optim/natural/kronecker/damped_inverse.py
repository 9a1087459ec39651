"""(M + rho)^-1 of one Kronecker factor or small block, ready to be applied: from the matrix or from its vectors.

A factor is M = X X^T / c with X (d, m). Where the vectors are kept and m < d the inverse needs m x m solves only. All
tensors carry a leading axis of groups, each with its own rho.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# At rho = 0 eigenvalues up to this share of the largest count as 0: rounding of a Gram matrix in float64 is 1e-15, and
# directions below 1e-10 hold nothing that the data determined.
RELATIVE_CUT = 1e-10
_JITTER = 1e-12


class DampedInverse(ABC):
    """(M + rho)^-1 as something to multiply with; at rho = 0 the pseudo-inverse.

    Attributes:
        route: How it was found, for the report.
        rank: Smallest rank of M over the groups where it was found out (at rho = 0).
    """

    route: str
    rank: int | None

    @abstractmethod
    def times(self, right: Tensor) -> Tensor:
        """(M + rho)^-1 Y for Y (groups, d, k)."""

    def times_left(self, left: Tensor) -> Tensor:
        """Y (M + rho)^-1 for Y (groups, k, d)."""
        return self.times(left.mT).mT

    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """What the inverse is made of."""


@dataclass(frozen=True)
class DenseInverse(DampedInverse):
    """The inverse written out, whole or as diagonal blocks of one size, the last of which may reach beyond d.

    Attributes:
        matrix: (groups, d, d), or (groups * blocks, size, size).
        route: How it was found.
        rank: At rho = 0.
    """

    matrix: Tensor
    route: str = "Cholesky"
    rank: int | None = None

    def times(self, right: Tensor) -> Tensor:
        """One product for each block, written where it belongs."""
        right = right.to(self.matrix.dtype)
        if len(self.matrix) == len(right):
            return torch.bmm(self.matrix, right)
        result = torch.empty_like(right, memory_format=torch.contiguous_format)
        for out, given, blocks in self._parts(result, right, axis=0):
            _write(out, blocks, given)
        return result

    def times_left(self, left: Tensor) -> Tensor:
        """One product for each block, of a contiguous result."""
        left = left.to(self.matrix.dtype)
        if len(self.matrix) == len(left):
            return torch.bmm(left, self.matrix)
        wide = torch.promote_types(left.dtype, torch.float32)
        result = torch.empty_like(left, dtype=wide, memory_format=torch.contiguous_format)
        for out, given, blocks in self._parts(result, left, axis=1):
            _write(out, given, blocks)
        return result

    def narrowed(self) -> DenseInverse:
        """The same in bfloat16."""
        return DenseInverse(self.matrix.bfloat16(), f"{self.route}, in bfloat16", self.rank)

    def _parts(self, result: Tensor, given: Tensor, *, axis: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Views (blocks, ., .) of both and the blocks: of each group those that are whole, then the one that reaches
        beyond the side.
        """
        size = self.matrix.shape[1]
        for out, one, blocks in zip(result, given, self.matrix.view(len(given), -1, size, size), strict=True):
            whole, rest = divmod(one.shape[axis], size)
            if whole:
                left, right = (t.narrow(axis, 0, whole * size).unflatten(axis, (whole, size)) for t in (out, one))
                yield left.movedim(axis, 0), right.movedim(axis, 0), blocks[:whole]
            if rest:
                left, right = (t.narrow(axis, whole * size, rest).unsqueeze(0) for t in (out, one))
                yield left, right, blocks[whole:, :rest, :rest]

    def tensors(self) -> tuple[Tensor, ...]:
        """The matrix."""
        return (self.matrix,)


def _write(out: Tensor, left: Tensor, right: Tensor) -> None:
    """left right into a view."""
    if out.dtype is left.dtype and (out.is_contiguous() or out.dtype is not torch.bfloat16):
        torch.bmm(left, right, out=out)
    else:
        out.copy_(torch.bmm(left, right))  # the fast kernels of bfloat16 write contiguous tensors only


@dataclass(frozen=True)
class DualInverse(DampedInverse):
    """[1 - U h U^T] / rho with h = s / (s + rho); at rho = 0 U s^-1 U^T. U are the left singular vectors of X.

    Attributes:
        basis: U, (groups, d, m); columns beyond the rank are 0.
        values: s, (groups, m), eigenvalues of M; 0 beyond the rank.
        rho: (groups,).
        route: How it was found.
        rank: At rho = 0.
    """

    basis: Tensor
    values: Tensor
    rho: Tensor
    route: str = "dual"
    rank: int | None = None

    def times(self, right: Tensor) -> Tensor:
        """Two thin products."""
        right = right.to(self.basis.dtype)
        inside = torch.bmm(self.basis.mT, right)
        if not bool(self.rho.any()):
            inverse = torch.where(self.values > 0, self.values.reciprocal(), 0.0)
            return torch.bmm(self.basis, inverse.unsqueeze(-1) * inside)
        rho = self.rho[:, None, None]
        kept = torch.bmm(self.basis, inside / (self.values.unsqueeze(-1) + rho))
        return (right - torch.bmm(self.basis, inside)) / rho + kept

    def tensors(self) -> tuple[Tensor, ...]:
        """Basis, eigenvalues, damping."""
        return self.basis, self.values, self.rho


@dataclass(frozen=True)
class DiagonalInverse(DampedInverse):
    """The inverse of a diagonal matrix.

    Attributes:
        diagonal: (groups, d).
        route: How it was found.
        rank: At rho = 0.
    """

    diagonal: Tensor
    route: str = "diagonal"
    rank: int | None = None

    def times(self, right: Tensor) -> Tensor:
        """One product for each entry."""
        return self.diagonal.unsqueeze(-1) * right.to(self.diagonal.dtype)

    def tensors(self) -> tuple[Tensor, ...]:
        """The diagonal."""
        return (self.diagonal,)


def invert_diagonal(diagonal: Tensor, rho: Tensor) -> DiagonalInverse:
    """1 / (m + rho), at rho = 0 on the entries above 0.

    Args:
        diagonal: M's, (groups, d).
        rho: (groups,).
    """
    damped = diagonal + rho.to(diagonal.dtype).unsqueeze(-1)
    return DiagonalInverse(
        torch.where(damped > 0, damped.reciprocal(), 0.0), "diagonal", int((diagonal > 0).sum(1).min())
    )


def invert(matrix: Tensor, rho: Tensor) -> DenseInverse:
    """(M + rho)^-1 by Cholesky; at rho = 0 the pseudo-inverse by eigenvectors in float64.

    Where Cholesky fails the diagonal gets 1e-12 of its mean in float64; where that fails too, eigenvectors with the
    relative cut 1e-10 are taken. The route says which it was.

    Args:
        matrix: M, (groups, d, d), symmetric, positive semi-definite.
        rho: (groups,), all 0 or all above.

    Returns:
        The inverse in the dtype of `matrix` (float64 at rho = 0).

    Raises:
        ArithmeticError: M holds NaN or infinity.
    """
    if not bool(rho.any()):
        return _pseudo_inverse(matrix.double(), rho.double(), "eigenvectors")
    damped = matrix.clone()
    damped.diagonal(dim1=-2, dim2=-1).add_(rho.to(matrix.dtype).unsqueeze(-1))
    factor, failed = torch.linalg.cholesky_ex(damped)
    if not bool(failed.any()):
        return DenseInverse(torch.cholesky_inverse(factor))
    _check_finite(matrix)
    wide = matrix.double()
    damped = wide.clone()
    jitter = _JITTER * wide.diagonal(dim1=-2, dim2=-1).mean(-1)
    damped.diagonal(dim1=-2, dim2=-1).add_((rho + jitter).unsqueeze(-1))
    factor, failed = torch.linalg.cholesky_ex(damped)
    if not bool(failed.any()):
        return DenseInverse(torch.cholesky_inverse(factor).to(matrix.dtype), "Cholesky in float64 with jitter")
    found = _pseudo_inverse(wide, rho.double(), "eigenvectors after Cholesky failed")
    return DenseInverse(found.matrix.to(matrix.dtype), found.route)


def invert_vectors(vectors: Tensor, count: float, rho: Tensor) -> DualInverse:
    """(X X^T / c + rho)^-1 from X, by the eigenvectors of the small X^T X / c in float64.

    Args:
        vectors: X, (groups, d, m).
        count: c.
        rho: (groups,), all 0 or all above.

    Raises:
        ArithmeticError: X holds NaN or infinity.
    """
    _check_finite(vectors)
    wide = vectors.double()
    values, right = torch.linalg.eigh(torch.bmm(wide.mT, wide) / count)
    kept = values > RELATIVE_CUT * values[:, -1:].clamp_min(0)
    basis = torch.bmm(wide, right) * torch.where(kept, (values * count).clamp_min(1e-300).rsqrt(), 0.0).unsqueeze(1)
    values, rho = torch.where(kept, values, 0.0), rho.double()
    dtype = vectors.dtype if bool(rho.any()) else torch.float64
    return DualInverse(basis.to(dtype), values.to(dtype), rho.to(dtype), "dual", int(kept.sum(1).min()))


def _pseudo_inverse(wide: Tensor, rho: Tensor, route: str) -> DenseInverse:
    _check_finite(wide)
    values, vectors = torch.linalg.eigh(wide)
    kept = values > RELATIVE_CUT * values[:, -1:].clamp_min(0)
    damped = torch.where(kept, values, 0.0) + rho.unsqueeze(-1)
    inverse = torch.where(damped > 0, damped.reciprocal(), 0.0)
    matrix = torch.bmm(vectors * inverse.unsqueeze(1), vectors.mT)
    return DenseInverse(matrix, route, int(kept.sum(1).min()))


def _check_finite(matrix: Tensor) -> None:
    if not bool(torch.isfinite(matrix).all()):
        raise ArithmeticError("a curvature factor holds NaN or infinity")
