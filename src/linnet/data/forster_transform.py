"""Forster's transform: inputs with fewer dimensions than samples, made isotropic."""

from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.errors import InputError


@dataclass(frozen=True)
class Forster:
    """Inputs after the transform, and what takes further inputs there.

    Attributes:
        inputs: (N, M0): unit rows with X^T X = (N / M0) I.
        matrix: The accumulated matrix A, (M0, M0), float64: inputs are the rows of X A, made unit.
        steps: How often it was repeated.
        gap: |X^T X - (N / M0) I| / |(N / M0) I| that is left.
    """

    inputs: Tensor
    matrix: Tensor
    steps: int
    gap: float

    def __call__(self, x: Tensor) -> Tensor:
        """Further inputs (N', M0) by the *training* transform: the rows of x A, made unit.

        Transforming a test set on its own would be another map.
        """
        rows = x.double() @ self.matrix.to(x.device)
        return (rows / rows.norm(dim=1, keepdim=True)).to(x.dtype)


def forster(x: Tensor, *, tolerance: float = 1e-10, most_steps: int = 10_000) -> Forster:
    """X <- X (X^T X)^-1/2, then unit rows, repeated until X^T X = (N / M0) I.

    K-FAC's first layer needs inputs of rank N. With M0 < N dimensions this transform gives it back its isotropy, at
    damping 0 and without a bias in that layer: alpha = N (L - 2) + M0 + 1.

    Args:
        x: (N, M0) with N >= M0, no zero rows, and any M0 rows independent.
        tolerance: On the gap.
        most_steps: After which it is an error.

    Raises:
        InputError: the shape or the rank doesn't fit; it doesn't converge.

    Source:
        Forster 2002 for the existence; its use with K-FAC: derived.

    Example:
        >>> import torch
        >>> from linnet.data import forster
        >>> done = forster(torch.randn(20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
        >>> bool(((done.inputs.T @ done.inputs) - 5 * torch.eye(4)).abs().max() < 1e-8)
        True
    """
    if x.ndim != 2 or len(x) < x.shape[1]:
        raise InputError(
            f"`x` must have the shape (N, M0) with N >= M0 (got {tuple(x.shape)}). With fewer samples than "
            "dimensions its rank is N without a transform."
        )
    rows = x.double()
    lengths = rows.norm(dim=1, keepdim=True)
    if not bool(torch.isfinite(rows).all()) or float(lengths.min()) == 0.0:
        raise InputError(
            "`x` must not have a zero row, NaN or infinity. Remove those samples, or centre the inputs first."
        )
    samples, size = rows.shape
    rows, matrix = rows / lengths, torch.eye(size, dtype=torch.float64, device=x.device)
    goal = samples / size * torch.eye(size, dtype=torch.float64, device=x.device)
    gap = float("inf")
    for step in range(most_steps + 1):
        second = rows.T @ rows
        gap = float((second - goal).norm() / goal.norm())
        if gap < tolerance:
            return Forster(rows.to(x.dtype), matrix, step, gap)
        root = _inverse_root(second)
        rows, matrix = rows @ root, matrix @ root
        rows, matrix = rows / rows.norm(dim=1, keepdim=True), matrix / matrix.norm()
    raise InputError(
        f"`x` isn't isotropic after {most_steps} steps (gap {gap:.1e}, `tolerance` {tolerance:.1e}): too many samples "
        "lie in a subspace. Drop repeated samples or constant dimensions, or raise `tolerance`."
    )


def _inverse_root(second: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(second)
    if float(values[0]) <= 1e-12 * float(values[-1]):
        raise InputError(
            f"`x` must have full rank (got rank {int((values > 1e-12 * values[-1]).sum())} of {len(values)} "
            "dimensions). Drop constant or repeated dimensions (project on the principal components)."
        )
    return vectors @ torch.diag(values.rsqrt()) @ vectors.T
