"""Spectral densities by stochastic Lanczos quadrature, with the top eigenpairs taken out first and error bars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from linnet.core.linalg.block_lanczos import block_lanczos
from linnet.core.linalg.implicit_matrix import ImplicitMatrix, Matvec
from linnet.core.linalg.lanczos import gauss_rule
from linnet.errors import InputError
from linnet.results import t_interval
from linnet.suggest import is_number, is_whole, one_of

_POINTS = 1024  # of the default grid
_WIDTHS = 5  # the default grid goes so many bandwidths beyond the eigenvalues: 3e-7 of a Gaussian lie outside
_RESAMPLES = 1000
_NOTHING = 1e-7  # nodes below so much of the largest count as zero where the matrix is positive semi-definite


@dataclass(frozen=True)
class Rule:
    """One probe's Gauss rule, or the eigenvalues themselves.

    Attributes:
        nodes: Ritz values.
        weights: The shares of the matrix's eigenvalues that they stand for; they add up to 1.
    """

    nodes: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Density:
    """A density over eigenvalues that integrates to 1 with its atom: sum y dx + atom = 1.

    Attributes:
        x: Eigenvalues, or their decimal logarithms where `scale` is "log".
        y: Density at x, smoothed by Gaussians of the bandwidth.
        lo: Lower end of a band that the mean over probes lies in, by bootstrap over probes.
        hi: Upper end.
        atom: Share of eigenvalues that are zero.
        scale: "linear": y is per unit of the eigenvalue. "log": per decade.
        bandwidth: Standard deviation of the Gaussians, in the unit of x.
        level: Coverage of the band and of `moment`'s interval.
        rules: One Gauss rule for each probe; a single one where the eigenvalues are known.
        share: Of the eigenvalues that the rules stand for; the rest are known zeros.
    """

    x: Tensor
    y: Tensor
    lo: Tensor
    hi: Tensor
    atom: float
    scale: Literal["linear", "log"]
    bandwidth: float
    level: float
    rules: tuple[Rule, ...]
    share: float = 1.0

    @cached_property
    def integral(self) -> float:
        """Of y over the grid, plus the atom."""
        return float(torch.trapezoid(self.y, self.x)) + self.atom

    def moment(self, order: int) -> tuple[float, float, float]:
        """(value, low, high) of the mean of lambda^order over all eigenvalues, zeros among them; order >= 1.

        The interval is Student's over the probes; of no width where the eigenvalues are known.
        """
        values = [self.share * float((rule.weights * rule.nodes**order).sum()) for rule in self.rules]
        mean = sum(values) / len(values)
        low, high = t_interval(values, level=self.level) if len(values) > 1 else (mean, mean)
        return mean, low, high


def density(
    matrix: Tensor | Matvec,
    grid: Tensor | None = None,
    *,
    size: int | None = None,
    zeros: int = 0,
    steps: int = 80,
    probes: int = 8,
    deflate: int = 10,
    start: Tensor | None = None,
    scale: Literal["linear", "log"] = "linear",
    bandwidth: float | None = None,
    level: float = 0.99,
    device: torch.device | str = "cpu",
    rng_seed: int = 0,
) -> Density:
    """The density of a symmetric matrix's eigenvalues, from products with it alone.

    The largest eigenpairs are found first and taken out; each probe z, orthogonal to them, gives a Gauss rule by
    Lanczos,
    whose weighted nodes stand for the rest: (1/n) tr phi(A) = (1/n) (sum_top phi(lambda) + (n - k) E sum_i w_i
    phi(theta_i)). Every node is smoothed by a Gaussian.

    Args:
        matrix: (n, n), or a function from (n,) to (n,): a Gram matrix, a Gauss-Newton matrix, a true Hessian.
        grid: Points x, ascending; None: enough of them, beyond all eigenvalues.
        size: n, needed with a function.
        zeros: Further eigenvalues that are known to be exactly zero (of J^T J beside J J^T). Above 0, or with
            scale="log", the matrix is taken to be positive semi-definite, and nodes at 0 join the atom.
        steps: Lanczos steps of a probe.
        probes: Random vectors, 2 or more.
        deflate: Top eigenpairs that are taken out; 0 for none.
        start: As in block Lanczos, for the top pairs.
        scale: "linear", or "log" for a density over log10 lambda.
        bandwidth: Of the Gaussians, in the unit of x; None: 1/200 of the range, or 0.05 decades.
        level: Coverage of the bars.
        device: Where a function's vectors live.
        rng_seed: Seed of the probes.

    Raises:
        InputError: an argument can't be used; the top eigenpairs don't converge.

    Source:
        Ubaru, Chen & Saad 2017; smoothing after Ghorbani et al. 2019; the deflation and the bars: linnet's choice.

    Example:
        >>> import torch
        >>> found = density(torch.diag(torch.arange(1.0, 41.0)), probes=4, deflate=2)
        >>> round(found.integral, 3), round(found.moment(1)[0], 1)
        (1.0, 20.5)
    """
    check_lanczos(scale, steps, probes, deflate, level)
    if not is_whole(zeros, 0):
        raise InputError(f"`zeros` must be a whole number >= 0 (got {zeros!r}).")
    if isinstance(matrix, Tensor) and matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]:
        gap = float((matrix - matrix.T).abs().max()) if len(matrix) else 0.0
        if gap > 1e-4 * float(matrix.abs().max()):
            raise InputError(
                f"`matrix` must be symmetric (got entries that differ by {gap:.3g} from their mirror images). Take "
                "(matrix + matrix.T) / 2 if that is what is meant."
            )
    implicit = ImplicitMatrix.of(matrix, size=size, dtype=torch.float64, device=device)
    rules = _rules(implicit, min(deflate, implicit.size // 2), start, steps, probes, rng_seed)
    semi = zeros > 0 or scale == "log"
    return density_of(rules, implicit.size, zeros, grid, scale, bandwidth, level, rng_seed, semi_definite=semi)


def check_lanczos(scale: str, steps: int, probes: int, deflate: int, level: float = 0.99) -> None:
    """Refuses what a density can't be computed with."""
    one_of("scale", scale, ("linear", "log"))
    whole = is_whole(steps, 1) and is_whole(probes, 2) and is_whole(deflate, 0)
    if not whole or not is_number(level, 0.0, above=True) or level >= 1:
        raise InputError(
            "`steps` must be a whole number >= 1, `probes` >= 2, `deflate` >= 0 and `level` within (0, 1) (got "
            f"{steps!r}, {probes!r}, {deflate!r}, {level!r})."
        )


def _check_grid(grid: Tensor) -> None:
    sound = isinstance(grid, Tensor) and grid.ndim == 1 and len(grid) and bool(torch.isfinite(grid).all())
    if not sound or bool((grid.diff() <= 0).any()):
        what = f"shape {tuple(grid.shape)}" if isinstance(grid, Tensor) else type(grid).__name__
        raise InputError(f"`grid` must be a tensor of finite, ascending points (got {what}). Use torch.linspace(...).")


def density_of(
    rules: list[Rule],
    size: int,
    zeros: int,
    grid: Tensor | None,
    scale: Literal["linear", "log"],
    bandwidth: float | None,
    level: float = 0.99,
    rng_seed: int = 0,
    *,
    semi_definite: bool = True,
) -> Density:
    """The density that Gauss rules, or known eigenvalues, amount to.

    Args:
        rules: One for each probe.
        size: Eigenvalues that they stand for.
        zeros: Further ones that are zero.
        grid: As in `density`.
        scale: As in `density`.
        bandwidth: As in `density`.
        level: As in `density`.
        rng_seed: Of the bootstrap.
        semi_definite: Whether nodes at 0 join the atom.
    """
    top = max(float(rule.nodes.abs().max()) for rule in rules)
    shares = [
        rule.weights[rule.nodes > _NOTHING * top].sum() if semi_definite else rule.weights.sum() for rule in rules
    ]
    alive = float(torch.stack(shares).mean()) if semi_definite else 1.0
    atom = (zeros + size * (1 - alive)) / (size + zeros)
    kept = [_alive(rule, top, semi_definite=semi_definite) for rule in rules]
    points = [rule.nodes.log10() if scale == "log" else rule.nodes for rule in kept]
    low, high = min(float(p.min()) for p in points), max(float(p.max()) for p in points)
    width = bandwidth if bandwidth is not None else 0.05 if scale == "log" else max(high - low, 1e-12) / 200
    if not is_number(width, 0.0, above=True):
        raise InputError(f"`bandwidth` must be above 0 (got {width!r}).")
    if grid is not None:
        _check_grid(grid)
    else:
        count = max(_POINTS, int(3 * (high - low + 2 * _WIDTHS * width) / width))
        grid = torch.linspace(low - _WIDTHS * width, high + _WIDTHS * width, count, dtype=torch.float64)
    share = (1 - atom) / (alive if alive > 0 else 1.0)
    curves = torch.stack([share * _smooth(p, r.weights, grid, width) for p, r in zip(points, kept, strict=True)])
    lo, hi = _band(curves, level, rng_seed)
    return Density(grid, curves.mean(0), lo, hi, atom, scale, width, level, tuple(rules), size / (size + zeros))


def _alive(rule: Rule, top: float, *, semi_definite: bool) -> Rule:
    kept = rule.nodes > _NOTHING * top if semi_definite else torch.ones_like(rule.nodes, dtype=torch.bool)
    return Rule(rule.nodes[kept], rule.weights[kept])


def _rules(
    implicit: ImplicitMatrix, deflate: int, start: Tensor | None, steps: int, probes: int, rng_seed: int
) -> list[Rule]:
    n = implicit.size
    if deflate:
        top = block_lanczos(
            implicit, deflate, start=start, size=n, device=implicit.device, tolerance=1e-4, rng_seed=rng_seed
        )
        values, vectors = top.values, top.vectors
    else:
        values = torch.empty(0, dtype=torch.float64, device=implicit.device)
        vectors = torch.empty(n, 0, dtype=torch.float64, device=implicit.device)

    def beside(v: Tensor) -> Tensor:
        """The matrix in what is orthogonal to the vectors that are out."""
        product = implicit(v - vectors @ (vectors.T @ v))
        return product - vectors @ (vectors.T @ product)

    rest_of_it = ImplicitMatrix.of(beside, size=n, dtype=torch.float64, device=implicit.device) if deflate else implicit
    generator = torch.Generator().manual_seed(rng_seed)
    rules, rest = [], n - deflate
    for _ in range(probes):
        z = torch.randn(n, generator=generator, dtype=torch.float64).to(implicit.device)
        z = z - vectors @ (vectors.T @ z)
        found, shares = gauss_rule(rest_of_it, z, min(steps, rest))
        nodes = torch.cat([values, found])
        weights = torch.cat([torch.full_like(values, 1 / n), shares * (rest / n)])
        rules.append(Rule(nodes.cpu(), weights.cpu()))
    return rules


def _smooth(nodes: Tensor, weights: Tensor, grid: Tensor, width: float) -> Tensor:
    z = (grid.unsqueeze(1) - nodes) / width
    return (torch.exp(-0.5 * z * z) @ weights) / (width * (2 * torch.pi) ** 0.5)


def _band(curves: Tensor, level: float, rng_seed: int) -> tuple[Tensor, Tensor]:
    """Quantiles of means of resampled probes, widened by sqrt(k / (k - 1)): a resample's variance is that much too
    low."""
    count = len(curves)
    mean = curves.mean(0)
    if count == 1:
        return mean, mean
    generator = torch.Generator().manual_seed(rng_seed)
    drawn = torch.randint(0, count, (_RESAMPLES, count), generator=generator)
    shares = torch.zeros(_RESAMPLES, count, dtype=curves.dtype)
    shares.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=curves.dtype))
    means = shares @ curves / count
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=curves.dtype)
    low, high = torch.quantile(means, tails, dim=0)
    wider = (count / (count - 1)) ** 0.5
    return (mean + (low - mean) * wider).clamp_min(0), mean + (high - mean) * wider
