"""Spectrum: the eigenvalues of F = (1/N) sum of row products, by whichever route is the cheapest, and what they
tell."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from linnet.core.linalg.block_lanczos import TopEigenpairs, block_lanczos
from linnet.core.linalg.estimate import Estimate
from linnet.errors import InputError
from linnet.spectra.rows.jacobian_rows import LayerCost, free_bytes
from linnet.spectra.spectral_density import Density, Rule, check_lanczos, density, density_of

DENSE_ROWS = 30_000  # up to here every eigenvalue is taken: 7 GB in float64, and hours
_EIGEN_COPIES = 3  # of the float64 matrix, while its eigenvalues are taken
_ROUNDING = 32  # units in the last place of the largest eigenvalue: what a computed zero may be
_PROBES = 16  # for the second moment without eigenvalues

Route = Literal["dual", "primal", "products"]


@dataclass(frozen=True)
class Method:
    """How a spectrum was computed.

    Attributes:
        route: "dual": every non-zero eigenvalue of the (n, n) Gram matrix. "primal": of the (P, P) matrix. "products":
            nothing but products; `top` and `density` work by Lanczos.
        rows: N times the rows of a sample.
        size: P.
        wall_s: Seconds.
        peak_bytes: What captured tensors, matrices and their eigenvalues held at most, by their sizes.
        layers: What each layer's part took, and by which contraction.
    """

    route: Route
    rows: int
    size: int
    wall_s: float
    peak_bytes: int
    layers: tuple[LayerCost, ...] = ()

    def __str__(self) -> str:
        head = (
            f"{self.route}: {self.rows:,} rows, {self.size:,} columns, {self.wall_s:.2f} s, "
            f"{self.peak_bytes / 2**20:,.0f} MiB"
        )
        lines = [
            f"  {cost.name or '(root)'} ({cost.kind}): {cost.way}, {cost.wall_s:.3f} s"
            + (
                f", predicted {min(cost.positions_cost, cost.gradients_cost) / 1e9:.3g} G"
                if cost.positions_cost
                else ""
            )
            for cost in self.layers
        ]
        return "\n".join([head, *lines])


class Source(ABC):
    """Rows r of a matrix F = (1/N) sum r r^T.

    Attributes:
        samples: N.
        rows: n.
        size: P.
        what: How tables call F.
    """

    samples: int
    rows: int
    size: int
    what: str

    @abstractmethod
    def gram(self) -> Tensor:
        """All inner products of the rows, (n, n), without 1/N."""

    @abstractmethod
    def primal(self) -> Tensor:
        """The sum of r r^T, (P, P), without 1/N."""

    @abstractmethod
    def product(self) -> tuple[Callable[[Tensor], Tensor], torch.dtype, torch.device]:
        """(v -> Gram matrix times v, the dtype it is computed in, where v lives)."""

    @abstractmethod
    def diagonal(self) -> Tensor:
        """Squared lengths of the rows."""

    def start(self) -> Tensor | None:
        """Vectors (n, b) near the top eigenvectors of the Gram matrix; None where nothing is known."""
        return None

    def layer(self, name: str) -> Source:
        """The rows of one layer's parameters."""
        raise InputError(f"`layer` must be a layer of a Fisher matrix (got {name!r}, of {self.what}).")

    def centered(self) -> Source:
        """Rows of the function less its mean over the samples."""
        raise InputError(f"Only a Fisher matrix can be centred (this is {self.what}).")

    def release(self) -> None:
        """Lets go of what can be had again."""
        return

    def held_bytes(self) -> int:
        """Memory that captured tensors hold."""
        return 0

    def costs(self) -> tuple[LayerCost, ...]:
        """What each layer's part took."""
        return ()


@runtime_checkable
class Theory(Protocol):
    """What a spectrum can be compared with, such as `MeanField`."""

    @property
    def classes(self) -> int:
        """C."""
        ...

    def expected(self) -> Sequence[tuple[str, float]]:
        """(quantity, value): "mean", "second moment", "max", "outlier 1" ..., "bulk (mean)"."""
        ...


@dataclass(frozen=True)
class Comparison:
    """A measured spectrum beside its theory.

    Attributes:
        rows: (quantity, measured, theory, relative gap).
    """

    rows: tuple[tuple[str, float, float, float], ...]

    def __str__(self) -> str:
        lines = [f"{'quantity':24} {'measured':>12} {'theory':>12} {'gap':>8}"]
        lines += [f"{name:24} {ours:12.4g} {theirs:12.4g} {gap:+8.1%}" for name, ours, theirs, gap in self.rows]
        return "\n".join(lines)


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a positive semi-definite matrix F (P, P) of rank at most n, the number of rows.

    Zeros count in `mean`, `second_moment` and `density`. An eigenvalue is taken for zero up to max(32, sqrt n) units in
    the last place of the largest, in the dtype of the model.

    Attributes:
        source: Where the rows come from.
        method: Which route ran, and what it took.
    """

    source: Source
    method: Method
    _values: Tensor | None = field(repr=False)
    _trace: float
    _square: float

    @classmethod
    def of(cls, source: Source, *, memory: int | None = None) -> Spectrum:
        """Takes the cheapest route that fits.

        Args:
            source: The rows.
            memory: Bytes that matrices and their eigenvalues may take; None: what is free.
        """
        begin = time.perf_counter()
        _, dtype, device = source.product()
        side = min(source.rows, source.size)
        needed = side * side * 8 * _EIGEN_COPIES
        room = free_bytes(torch.device(device)) if memory is None else memory
        route: Route = "dual"
        if side > DENSE_ROWS or needed > room:
            found, route, needed = None, "products", 0
        else:
            route = "primal" if source.size < source.rows else "dual"
            matrix = source.primal() if route == "primal" else source.gram()
            found = matrix.double() / source.samples
        if found is None:
            values, trace, square = (
                None,
                float(source.diagonal().double().sum()) / source.samples,
                _square_of(source).value,
            )
        else:
            trace, square = float(found.diagonal().sum()), float(found.square().sum())
            values = torch.linalg.eigvalsh(found).flip(0).cpu()
            source.release()
        wall_s = time.perf_counter() - begin
        method = Method(route, source.rows, source.size, wall_s, source.held_bytes() + needed, source.costs())
        return cls(source, method, None if values is None else _nonzero(values, source, dtype), trace, square)

    @property
    def eigenvalues(self) -> Tensor:
        """The non-zero ones, descending, float64, on the CPU.

        Raises:
            InputError: they don't fit: the bytes and the options that bring them down are named.
        """
        if self._values is None:
            side = min(self.source.rows, self.source.size)
            raise InputError(
                f"All eigenvalues of {self.source.what} must fit in memory: {side:,} x {side:,} numbers take "
                f"{side * side * 8 * _EIGEN_COPIES:,} bytes (at most {DENSE_ROWS:,} rows are taken). Use .top(k) or "
                ".density(), which need products alone, or take fewer samples, or raise `memory`."
            )
        return self._values

    @property
    def zeros(self) -> int:
        """How many eigenvalues are exactly zero."""
        return self.source.size - len(self.eigenvalues)

    @property
    def mean(self) -> float:
        """Tr F / P."""
        return self._trace / self.source.size

    @property
    def second_moment(self) -> float:
        """Tr F^2 / P; an estimate from random vectors where the route is "products"."""
        return self._square / self.source.size

    @cached_property
    def max(self) -> float:
        """The largest eigenvalue."""
        if self._values is None:
            return float(self.top(1).values[0])
        return float(self._values[0]) if len(self._values) else 0.0

    def top(self, count: int, *, tolerance: float | None = None, steps: int = 60) -> TopEigenpairs:
        """The largest eigenvalues with residuals and vectors, which live in the space of rows.

        Args:
            count: k.
            tolerance: Residuals in parts of the largest; None: 1e-8 where the model is in float64, else 1e-4.
            steps: Blocks of Lanczos at most.

        Raises:
            InputError: Lanczos hasn't converged; its largest residual is shown.
        """
        matvec, dtype, device = self.source.product()
        allowed = tolerance if tolerance is not None else 1e-8 if dtype == torch.float64 else 1e-4

        def product(v: Tensor) -> Tensor:
            return matvec(v).double() / self.source.samples

        return block_lanczos(
            product,
            count,
            start=self.source.start(),
            size=self.source.rows,
            device=device,
            tolerance=allowed,
            steps=steps,
        )

    def density(
        self,
        grid: Tensor | None = None,
        *,
        scale: Literal["linear", "log"] = "linear",
        bandwidth: float | None = None,
        steps: int = 80,
        probes: int = 8,
        deflate: int = 10,
        rng_seed: int = 0,
    ) -> Density:
        """The density of all P eigenvalues; exact where they are known, else by Lanczos quadrature with error bars.

        Args:
            grid: Points; None: enough of them.
            scale: "linear", or "log": over log10 lambda.
            bandwidth: Of the Gaussians.
            steps: Lanczos steps of a probe.
            probes: Random vectors.
            deflate: Top eigenpairs taken out first.
            rng_seed: Of the probes.
        """
        check_lanczos(scale, steps, probes, deflate)
        if self._values is not None:
            values = self._values
            rule = Rule(values, torch.full_like(values, 1 / max(len(values), 1)))
            return density_of([rule], len(values), self.source.size - len(values), grid, scale, bandwidth)
        matvec, _, device = self.source.product()
        return density(
            lambda v: matvec(v).double() / self.source.samples,
            grid,
            size=self.source.rows,
            zeros=max(0, self.source.size - self.source.rows),
            start=self.source.start(),
            scale=scale,
            bandwidth=bandwidth,
            steps=steps,
            probes=probes,
            deflate=deflate,
            device=device,
            rng_seed=rng_seed,
        )

    def layer(self, name: str) -> Spectrum:
        """Of the diagonal block F^{ll} of one layer.

        Raises:
            InputError: there is no such layer (the nearest names are listed), or the model has changed since.
        """
        if not isinstance(name, str):
            raise InputError(f"`name` must be the path of a layer (got {name!r}). Use '0.conv' for model[0].conv.")
        return Spectrum.of(self.source.layer(name))

    def centered(self) -> Spectrum:
        """Of the matrix of f_k - E_n f_k: what subtracting each output's mean over the samples would leave.

        The J of F becomes (I - 1 1^T / N (x) I_C) J, which takes the C largest eigenvalues away.
        """
        return Spectrum.of(self.source.centered())

    def compare(self, theory: Theory) -> Comparison:
        """This spectrum beside what mean-field theory expects of it.

        Args:
            theory: Of a network of the same shape, such as `theory_for(model, x)` gives.
        """
        if not isinstance(theory, Theory):
            raise InputError(
                f"`theory` must be what theory(...) or theory_for(model, x) gives (got {type(theory).__name__})."
            )
        expected = theory.expected()
        outliers = [name for name, _ in expected if name.startswith("outlier ")]
        found: dict[str, float] = {"mean": self.mean, "second moment": self.second_moment, "max": self.max}
        if outliers:
            values = self.top(len(outliers)).values if self._values is None else self._values
            found |= {name: float(value) for name, value in zip(outliers, values, strict=False)}
        if self._values is not None:
            rest = self._values[theory.classes :]
            found["bulk (mean)"] = float(rest.mean()) if len(rest) else 0.0
        rows = [
            (name, found[name], value, found[name] / value - 1) for name, value in expected if name in found and value
        ]
        return Comparison(tuple(rows))

    def __str__(self) -> str:
        known = (
            f"{len(self._values):,} non-zero, {self.zeros:,} zero" if self._values is not None else "not all computed"
        )
        return (
            f"{self.source.what}: P = {self.source.size:,}, N = {self.source.samples:,}; eigenvalues: {known}\n"
            f"mean {self.mean:.4g}, second moment {self.second_moment:.4g}, max {self.max:.4g}\n{self.method}"
        )


def _nonzero(values: Tensor, source: Source, dtype: torch.dtype) -> Tensor:
    """What of the eigenvalues isn't rounding."""
    if not len(values):
        return values
    units = max(_ROUNDING, source.rows**0.5)
    return values[values > units * torch.finfo(dtype).eps * max(float(values[0]), 0.0)]


def _square_of(source: Source) -> Estimate:
    """Tr F^2 = E |F z|^2 over random signs z in the space of rows."""
    matvec, _, device = source.product()
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(_PROBES):
        z = (2 * torch.randint(0, 2, (source.rows,), generator=generator) - 1).double().to(device)
        found.append(float((matvec(z).double() / source.samples).square().sum()))
    return Estimate.of(torch.tensor(found, dtype=torch.float64))
