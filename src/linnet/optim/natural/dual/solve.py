"""Solves in the dual, n x n in float64: Cholesky, then eigenvectors with a cut; errors name the reason."""

from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.errors import InputError
from linnet.optim.natural.approximation import Batch

_CUT = 1e-10  # of the largest eigenvalue, in float64; below it an eigenvalue is rounding
_MISSED = 1e-6  # share of the right-hand side that may lie outside the range before it is an error
_LARGE = 512  # rows from which a factor in float32 pays (measured on CPU: half the time of 80 ms at 1,280 rows)
_REFINEMENTS = 8
_SINGULAR = 1e-12  # reciprocal condition of a block of the tridiagonal elimination


@dataclass(frozen=True)
class Solved:
    """A solution and how it was found.

    Attributes:
        v: (n,), float64.
        route: "Cholesky", or the method used instead.
    """

    v: Tensor
    route: str


def check_rows(batch: Batch, largest: int, *, matrices: int = 1) -> None:
    """Refuses n x n matrices that are too large, before they are made.

    Raises:
        InputError: n = N * passes is above `largest`.
    """
    n = batch.samples * len(batch.cotangents)
    if n > largest:
        raise InputError(
            f"The batch must have at most `solve_rows` = {largest} rows (got n = {n}: {batch.samples} samples x "
            f"{len(batch.cotangents)} cotangents). Its dense solve needs {8 * n * n * (1 + matrices) / 2**30:.3g} "
            "GiB (float64). Use fisher='sampled' (one row for each sample), approx='kfac', a smaller batch, or a "
            "larger `solve_rows`."
        )


def theta(layer: LayerJacobian, batch: Batch) -> Tensor:
    """Theta_l = W^T J_l J_l^T W / N in float64, parameters of other groups weighted by their damping."""
    return layer.gram(weights=group_weights(batch)).double() / batch.samples


def group_weights(batch: Batch) -> dict[str, float] | None:
    """Parameter name -> rho / rho_p, by which groups of unequal damping become one; None where all are equal."""
    rho = base_damping(batch)
    if all(value == rho for value in batch.damping.values()):
        return None
    return {name: rho / value for name, value in batch.damping.items()}


def base_damping(batch: Batch) -> float:
    """rho of the first parameter."""
    return next(iter(batch.damping.values()))


@dataclass(frozen=True)
class Regular:
    """The damping and the cut that make Theta invertible.

    Attributes:
        rho: Damping.
        accuracy: Share of the largest eigenvalue below which another is rounding.
    """

    rho: float
    accuracy: float

    @classmethod
    def of(cls, batch: Batch) -> "Regular":
        """Of a batch's Gram matrices, computed in the model's dtype."""
        n, dtype = batch.samples * len(batch.cotangents), torch.promote_types(batch.f.dtype, torch.float32)
        return cls(base_damping(batch), max(_CUT, n**0.5 * torch.finfo(dtype).eps))


def solve_dual(matrix: Tensor, right: Tensor, regular: Regular, *, of: str) -> Solved:
    """(Theta + rho)^-1 u; at rho = 0 on the range of Theta.

    Args:
        matrix: Theta, (n, n), float64.
        right: u, (n,).
        regular: Gives rho, and what counts as 0.
        of: The layer, for errors.

    Raises:
        InputError: at rho = 0 u isn't in the range; names the rank, the missing directions, and a sufficient damping.
        ArithmeticError: Theta holds NaN or infinity.
    """
    if not bool(torch.isfinite(matrix.diagonal()).all()):  # |M_ij| <= sqrt(M_ii M_jj): it speaks for all entries
        raise ArithmeticError(f"the Gram matrix of {of} holds NaN or infinity")
    rho, accuracy, right = regular.rho, regular.accuracy, right.double()
    refined = _refined(matrix, rho, right) if rho and len(matrix) >= _LARGE else None
    if refined is not None:
        return Solved(refined, "Cholesky in float32, refined to float64")
    lifted = matrix.clone()
    lifted.diagonal().add_(rho)
    factor, failed = torch.linalg.cholesky_ex(lifted)
    if not int(failed) and (rho or _spread(factor) > accuracy):
        return Solved(_substituted(factor, right), "Cholesky, float64")
    if rho:
        lifted.diagonal().add_(1e-12 * float(matrix.trace()) / len(matrix))
        factor, failed = torch.linalg.cholesky_ex(lifted)
        if not int(failed):
            return Solved(_substituted(factor, right), "Cholesky with jitter")
    return _by_eigenvectors(matrix, right, rho, accuracy, of)


def _refined(matrix: Tensor, rho: float, right: Tensor) -> Tensor | None:
    """(M + rho)^-1 b for M positive semi-definite in float64, from a factor in float32, which takes half the time.

    v <- v + (L L^T)^-1 (b - M v - rho v) until the residual, taken in float64, is what a factor in float64 leaves; None
    where that doesn't come about (a condition of 1e6 or more).

    Source:
        Iterative refinement as in LAPACK's dsposv; the bound on the residual is ours.
    """
    narrow = matrix.float()
    narrow.diagonal().add_(rho)
    factor, failed = torch.linalg.cholesky_ex(narrow)
    if int(failed):
        return None
    v, residual, size = torch.zeros_like(right), right, float(narrow.norm())
    del narrow
    for _ in range(_REFINEMENTS):
        scale = residual.abs().max().clamp_min(torch.finfo(right.dtype).tiny)
        v = v + _substituted(factor, (residual / scale).float()).double() * scale
        residual = right - matrix @ v - rho * v
        allowed = 8 * torch.finfo(right.dtype).eps * (float(right.norm()) + size * float(v.norm()))
        if float(residual.norm()) <= allowed:
            return v
    return None


def _substituted(factor: Tensor, right: Tensor) -> Tensor:
    """(L L^T)^-1 b by two triangular solves (`cholesky_solve` copies L first: 10 times as long for one b)."""
    first = torch.linalg.solve_triangular(factor, right.unsqueeze(1), upper=False)
    return torch.linalg.solve_triangular(factor.mT, first, upper=True).squeeze(1)


def _spread(factor: Tensor) -> float:
    """An upper bound of the reciprocal condition, from the diagonal of a Cholesky factor."""
    diagonal = factor.diagonal()
    return float((diagonal.min() / diagonal.max()).square())


def _by_eigenvectors(matrix: Tensor, right: Tensor, rho: float, accuracy: float, of: str) -> Solved:
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > accuracy * values[-1].clamp_min(torch.finfo(values.dtype).tiny)
    inside = vectors.T @ right
    missed = float(inside[~kept].norm() / right.norm().clamp_min(torch.finfo(values.dtype).tiny))
    rank, n = int(kept.sum()), len(values)
    if not rho and missed > _MISSED:
        advice = 1e-3 * float(values.clamp_min(0).mean()) or 1e-3
        raise InputError(
            f"{of}: the Gram matrix has rank {rank} of {n}, so {n - rank} directions of the outputs can't be "
            "reached at damping 0 (too few parameters or too narrow a layer for the batch, dead units, or equal "
            f"samples with different targets). Use a damping above 0, such as {advice:.1e}, a smaller batch, or a "
            "wider layer."
        )
    inverse = torch.where(kept, (values + rho).reciprocal(), 0.0)
    return Solved(vectors @ (inverse * inside), f"eigenvectors, rank {rank} of {n}")


class BlockThomas:
    """[(Sigma (x) I) blockdiag(Theta_l) + rho] v = b for Sigma tridiagonal, by elimination with LU of n x n blocks.

    Row l reads Theta_{l-1} v_{l-1} + (Theta_l + rho) v_l + Theta_{l+1} v_{l+1} = b_l. The system isn't symmetric, and
    its symmetric form is indefinite, so no Cholesky.

    Args:
        thetas: Theta_l, (n, n) float64 each.
        rho: Damping, above 0.

    Raises:
        InputError: damping hits an eigenvalue of the indefinite metric.
        ArithmeticError: a Theta holds NaN or infinity.
    """

    def __init__(self, thetas: list[Tensor], rho: float) -> None:
        self._thetas, self._rho = thetas, rho
        self._factors: list[tuple[Tensor, Tensor]] = []
        if not all(bool(torch.isfinite(theta).all()) for theta in thetas):
            raise ArithmeticError("a Gram matrix holds NaN or infinity")
        for number, theta in enumerate(thetas):
            block = theta.clone()
            block.diagonal().add_(rho)
            if number:
                block -= thetas[number - 1] @ torch.linalg.lu_solve(*self._factors[-1], theta)
            factor, pivots = torch.linalg.lu_factor(block)
            if _reciprocal_condition(block, factor, pivots) < _SINGULAR:
                raise InputError(
                    f"`damping` must not be an eigenvalue of the indefinite tridiagonal metric (got {rho:.3g}, at "
                    f"layer {number + 1} of {len(thetas)}). Use another damping, such as {2 * rho:.3g}, or "
                    "approx='block'."
                )
            self._factors.append((factor, pivots))

    def solve(self, right: list[Tensor]) -> list[Tensor]:
        """V_l for b_l, (n,) each, with one step of refinement."""
        first = self._eliminate(right)
        missing = [b - k for b, k in zip(right, self._times(first), strict=True)]
        return [v + d for v, d in zip(first, self._eliminate(missing), strict=True)]

    def _eliminate(self, right: list[Tensor]) -> list[Tensor]:
        ahead: list[Tensor] = []
        for number, b in enumerate(right):
            ahead.append(b if not number else b - self._thetas[number - 1] @ self._back(number - 1, ahead[-1]))
        result = [self._back(len(right) - 1, ahead[-1])]
        for number in range(len(right) - 2, -1, -1):
            result.insert(0, self._back(number, ahead[number] - self._thetas[number + 1] @ result[0]))
        return result

    def _back(self, number: int, right: Tensor) -> Tensor:
        return torch.linalg.lu_solve(*self._factors[number], right.unsqueeze(1)).squeeze(1)

    def _times(self, v: list[Tensor]) -> list[Tensor]:
        products = [theta @ one for theta, one in zip(self._thetas, v, strict=True)]
        zero = torch.zeros_like(products[0])
        padded = [zero, *products, zero]
        return [sum(padded[k : k + 3], zero) + self._rho * v[k] for k in range(len(v))]


def _reciprocal_condition(block: Tensor, factor: Tensor, pivots: Tensor) -> float:
    """1 / (||D||_1 ||D^-1||_1), the second norm by Hager's estimate."""
    n = len(block)
    x = block.new_full((n, 1), 1 / n)
    estimate = 0.0
    for _ in range(5):
        y = torch.linalg.lu_solve(factor, pivots, x)
        norm = float(y.abs().sum())
        if norm <= estimate:
            break
        estimate = norm
        signs = torch.where(y >= 0, 1.0, -1.0).to(block.dtype)
        z = torch.linalg.lu_solve(factor, pivots, signs, adjoint=True)
        x = torch.zeros_like(x)
        x[int(z.abs().argmax())] = 1.0
    largest = float(block.abs().sum(0).max())
    return 1.0 / (largest * estimate) if largest * estimate > 0 and estimate == estimate else 0.0
