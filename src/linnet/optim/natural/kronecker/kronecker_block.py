"""One matrix layer's curvature in K-FAC: B (x) A, its running mean, its damped inverse, and what that does to V."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from linnet.core.capture.layers.layer_rule import Sharing
from linnet.core.capture.layers.matrix import MatrixRule
from linnet.core.capture.positions import fold, unfold
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.parameter_rows import RuleTerm
from linnet.optim.natural.kronecker.damped_inverse import (
    DampedInverse,
    DenseInverse,
    DiagonalInverse,
    DualInverse,
    invert,
    invert_diagonal,
    invert_vectors,
)

FEWEST = 512  # input vectors of a batch that factors are taken from where a layer has more
VECTORS = 4  # at least so many for each entry of a block's side
HUGE = 8192  # a side beyond this is kept as the vectors of its last batch: its matrix alone would take 256 MB


@dataclass
class Sums:
    """The sums over the samples of one or more micro-batches.

    Attributes:
        samples: N.
        columns: N * S, input vectors.
        a: sum a a^T, (groups, I, I); None where the vectors are kept.
        b: sum g g^T, (groups, O, O); None where the vectors are kept.
        a_vectors: a side by side, (groups, I, m).
        b_vectors: g side by side, (groups, O, m).
    """

    samples: int = 0
    columns: int = 0
    a: Tensor | None = None
    b: Tensor | None = None
    a_vectors: Tensor | None = None
    b_vectors: Tensor | None = None

    @property
    def plan(self) -> dict[str, Any]:
        """Form and sizes without the entries, for a process that computed no sums."""
        parts = {name: getattr(self, name) for name in ("a", "b", "a_vectors", "b_vectors")}
        sizes = {name: None if part is None else tuple(part.shape) for name, part in parts.items()}
        return {**sizes, "dtype": next(part.dtype for part in parts.values() if part is not None)}

    @classmethod
    def empty(cls, plan: Mapping[str, Any], device: Any) -> Sums:
        """No samples, in the form of a plan."""

        def zeros(name: str) -> Tensor | None:
            size = plan[name]
            if size is None:
                return None
            size = (*size[:2], 0) if name.endswith("vectors") else size
            return torch.zeros(size, dtype=plan["dtype"], device=device)

        return cls(0, 0, *(zeros(name) for name in ("a", "b", "a_vectors", "b_vectors")))

    def as_samples(self, positions: int, *, exact: bool) -> None:
        """Counts every position of the outputs as a sample: A is a mean over them, B as large as without its 1/S.

        Args:
            positions: S of the outputs.
            exact: The sums are of an exact block, whose rows hold 1/S.
        """
        if positions > 1 and not exact:
            self.samples *= positions
            self.scale_gradients(positions**0.5, exact=False)

    def scale_gradients(self, factor: float, *, exact: bool) -> None:
        """As if every output gradient had been `factor` times as large.

        Args:
            factor: The number.
            exact: The sums are of an exact block, whose rows are gradients themselves.
        """
        products, vectors = (self.a, self.a_vectors) if exact else (self.b, self.b_vectors)
        if products is not None:
            products.mul_(factor * factor)
        if vectors is not None:
            vectors.mul_(factor)

    def add(self, other: Sums) -> None:
        """Takes in another micro-batch."""
        self.samples += other.samples
        self.columns += other.columns
        for side in ("a", "b"):
            kept = f"{side}_vectors"
            forms = {name for part in (self, other) for name in (side, kept) if getattr(part, name) is not None}
            if len(forms) > 1:  # a small micro-batch kept vectors, a large one the product
                for part in (self, other):
                    part.multiply_out(side)
        self.a, self.b = _plus(self.a, other.a), _plus(self.b, other.b)
        self.a_vectors = _beside(self.a_vectors, other.a_vectors)
        self.b_vectors = _beside(self.b_vectors, other.b_vectors)

    def multiply_out(self, side: str) -> None:
        """The products of a side that is kept as vectors."""
        vectors = getattr(self, f"{side}_vectors")
        if vectors is not None:
            setattr(self, side, vectors @ vectors.mT)
            setattr(self, f"{side}_vectors", None)


@dataclass
class KroneckerBlock:
    """G_l = (B + rho_B) (x) (A + rho_A).

    rho_A = pi sqrt(rho), rho_B = sqrt(rho) / pi, pi^2 = mean diagonal of A / mean diagonal of B.
    A = (1/N) sum_ns a_ns a_ns^T and B = (1/(N S)) sum_nks g_nks g_nks^T with a = [h; 1] where the layer has a bias; one
    pair for each group of a convolution. A weight that is used several times has the positions of all its uses.

    Attributes:
        module: The layer.
        weight: Name of its weight.
        bias: Name of its bias, where that is the weight's last column.
        sharing: "expand" or "reduce".
        a: Running mean of A, (groups, I, I), or its diagonal blocks (groups * blocks, size, size); (groups, I) where A
            is diagonal, as that of an embedding.
        b: Running mean of B, (groups, O, O).
        mass: Weight of the running means, 1 - ema^k after k refreshes (bias correction).
        size: Mean number of samples of the refreshes in the running means; None: unknown.
        latest: Sums of the last refresh, where a side is kept as vectors.
        a_inverse: (A + rho_A)^-1.
        b_inverse: (B + rho_B)^-1.
    """

    module: nn.Module
    weight: str
    bias: str | None
    sharing: Sharing = "expand"
    a: Tensor | None = None
    b: Tensor | None = None
    mass: float = 0.0
    latest: Sums | None = None
    a_inverse: DampedInverse | None = field(default=None, repr=False)
    b_inverse: DampedInverse | None = field(default=None, repr=False)
    size: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters it covers."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def read(
        self,
        layer: LayerJacobian,
        *,
        dtype: torch.dtype | None = None,
        keep_vectors: bool = False,
        max_side: int | None = None,
        rng_seed: int | None = None,
    ) -> Sums:
        """The sums of one batch.

        Args:
            layer: The rows of the layer.
            dtype: Of the products; None for that of (a, g). The sums are float32 at least.
            keep_vectors: Keep the vectors of a side where they are fewer than its size.
            max_side: Sides beyond it are taken as diagonal blocks; None: never. A bias's 1 isn't counted.
            rng_seed: Of the positions that are read of a layer with many; None: all are read.
        """
        term = layer.terms[self.weight]
        assert isinstance(term, RuleTerm)
        rule, uses = term.rule, [_as(use, dtype) for use in term.uses]
        if rule.diagonal_input:
            counts, b = rule.factors(self.module, uses, homogeneous=False, sharing=self.sharing)
            wide = torch.promote_types(b.dtype, torch.float32)
            columns = rule.columns(self.module, uses, sharing=self.sharing)
            return Sums(layer.samples, columns, counts.to(wide).unsqueeze(0), b.to(wide).unsqueeze(0))
        homogeneous = self.bias is not None
        columns = rule.columns(self.module, uses, sharing=self.sharing)
        groups, inputs, outputs = self.sizes
        few_a, few_b = columns < inputs and keep_vectors, columns * layer.passes < outputs and keep_vectors
        sums = Sums(layer.samples, columns)
        parts = self._parts(max_side)
        side = max(-(-inputs // parts[0]), -(-outputs // parts[1]))
        most = None if rng_seed is None or side > HUGE else max(FEWEST, VECTORS * side)
        if (parts != (1, 1) or (most is not None and 2 * most <= columns)) and type(rule) is MatrixRule:
            a, b = rule.factor_blocks(
                self.module, uses, homogeneous=homogeneous, sharing=self.sharing, parts=parts, most=most,
                rng_seed=rng_seed or 0,
            )  # fmt: skip
            wide = torch.promote_types(a.dtype, torch.float32)
            parts = groups * parts[0], groups * parts[1]
            a, b = (m.to(wide).reshape(count, *m.shape[-2:]) for m, count in zip((a, b), parts, strict=True))
            return Sums(layer.samples, columns, a, b)
        if few_a or few_b or max(inputs, outputs) > HUGE:
            x, y = _vectors(rule.vectors(self.module, uses, homogeneous=homogeneous), self.sharing)
            by_vectors = (few_a or inputs > HUGE, few_b or outputs > HUGE)
            sums.a_vectors, sums.b_vectors = (v if kept else None for v, kept in zip((x, y), by_vectors, strict=True))
            sums.a, sums.b = (None if kept else v @ v.mT for v, kept in zip((x, y), by_vectors, strict=True))
            return sums
        a, b = rule.factors(self.module, uses, homogeneous=homogeneous, sharing=self.sharing)
        wide = torch.promote_types(a.dtype, torch.float32)
        sums.a, sums.b = a.to(wide).view(groups, inputs, inputs), b.to(wide).view(groups, outputs, outputs)
        return sums

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(groups, I, O), the bias's 1 counted in I."""
        if isinstance(self.module, nn.Embedding):
            return 1, self.module.num_embeddings, self.module.embedding_dim
        groups, outputs, inputs = unfold(self.module, cast(Tensor, self.module.weight).detach()).shape
        return groups, inputs + (self.bias is not None), outputs

    def _parts(self, max_side: int | None) -> tuple[int, int]:
        """Number of diagonal blocks of both sides."""
        if max_side is None:
            return 1, 1
        _, inputs, outputs = self.sizes
        return -(-(inputs - (self.bias is not None)) // max_side) or 1, -(-outputs // max_side)

    def update(self, sums: Sums, *, ema: float) -> None:
        """Takes a batch's sums into the running means, each batch weighted by its samples."""
        share, self.mass, self.size = share_of(sums.samples, self.mass, self.size, ema)
        self.a = _towards(self.a, sums.a, sums.samples, share)
        self.b = _towards(self.b, sums.b, sums.columns, share)
        kept = sums.a_vectors is not None or sums.b_vectors is not None
        self.latest = Sums(sums.samples, sums.columns, None, None, sums.a_vectors, sums.b_vectors) if kept else None

    def damping(self, rho: float) -> tuple[Tensor, Tensor]:
        """(rho_A, rho_B), (groups,) each."""
        means = self._mean_diagonal("a"), self._mean_diagonal("b")
        pi = torch.where((means[0] > 0) & (means[1] > 0), means[0] / means[1], 1.0).sqrt()
        return pi * rho**0.5, rho**0.5 / pi

    def refresh(self, rho: float, sides: str = "ab") -> None:
        """Finds the damped inverses anew.

        Args:
            rho: Damping of the layer.
            sides: "ab", or one of them (several processes share the work).
        """
        rho_a, rho_b = self.damping(rho)
        if "a" in sides:
            self.a_inverse = self._inverse("a", rho_a)
        if "b" in sides:
            self.b_inverse = self._inverse("b", rho_b)

    def times(self, gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(B + rho_B)^-1 V (A + rho_A)^-1 for V = [dW, db], by parameter name."""
        assert self.a_inverse is not None
        assert self.b_inverse is not None
        v = self.stacked(gradient)
        return self.unstacked(self.a_inverse.times_left(self.b_inverse.times(v)).to(v.dtype))

    def narrowed(self) -> KroneckerBlock | None:
        """A twin whose inverses are kept in bfloat16; None where they aren't dense matrices of float32."""
        pair = self.a_inverse, self.b_inverse
        if not all(isinstance(side, DenseInverse) and side.matrix.dtype is torch.float32 for side in pair):
            return None
        a, b = (cast(DenseInverse, side).narrowed() for side in pair)
        return replace(self, a_inverse=a, b_inverse=b)

    def stacked(self, gradient: Mapping[str, Tensor]) -> Tensor:
        """V = [dW, db], (groups, O, I)."""
        if isinstance(self.module, nn.Embedding):
            return gradient[self.weight].T.unsqueeze(0)
        v = unfold(self.module, gradient[self.weight])
        if self.bias is None:
            return v
        return torch.cat([v, gradient[self.bias].reshape(len(v), -1, 1)], dim=2)

    def unstacked(self, v: Tensor) -> dict[str, Tensor]:
        """V (groups, O, I) by parameter name, in their shapes."""
        if isinstance(self.module, nn.Embedding):
            return {self.weight: v[0].T.contiguous()}
        if self.bias is None:
            return {self.weight: fold(self.module, v)}
        return {self.weight: fold(self.module, v[:, :, :-1]), self.bias: v[:, :, -1].reshape(-1)}

    @property
    def route(self) -> str:
        """How both sides were inverted."""
        assert self.a_inverse is not None
        assert self.b_inverse is not None
        return f"A {self.a_inverse.route}, B {self.b_inverse.route}"

    def _mean_diagonal(self, side: str) -> Tensor:
        matrix, vectors, count = self._side(side)
        if matrix is not None:
            groups, inputs, outputs = self.sizes
            diagonal = matrix if matrix.ndim == 2 else matrix.diagonal(dim1=-2, dim2=-1)
            if len(diagonal) == groups:
                return diagonal.mean(-1)
            return diagonal.reshape(groups, -1).sum(1) / (inputs if side == "a" else outputs)
        assert vectors is not None
        return vectors.square().sum((1, 2)) / (count * vectors.shape[1])

    def _inverse(self, side: str, rho: Tensor) -> DampedInverse:
        matrix, vectors, count = self._side(side)
        if matrix is not None:
            if matrix.ndim == 2:
                return invert_diagonal(matrix, rho)
            return invert(matrix, rho.repeat_interleave(len(matrix) // len(rho)))
        assert vectors is not None
        return invert_vectors(vectors, count, rho)

    def _side(self, side: str) -> tuple[Tensor | None, Tensor | None, int]:
        """The matrix of a side, or the vectors and what their products are divided by."""
        if side == "a":
            return self.a, self.latest.a_vectors if self.latest else None, self.latest.samples if self.latest else 0
        return self.b, self.latest.b_vectors if self.latest else None, self.latest.columns if self.latest else 0


def share_of(samples: float, mass: float, size: float | None, ema: float) -> tuple[float, float, float]:
    """The share of a new batch in a running mean, with the mean's mass and mean number of samples after it.

    mean <- mean + share (new - mean): the mean is sum_k ema^k n_k M_k / sum_k ema^k n_k over the batches so far.

    Args:
        samples: n of the new batch.
        mass: 1 - ema^k before.
        size: Mean number of samples before; None: that of the new batch.
        ema: Decay.
    """
    after = ema * mass + (1 - ema)
    if size is None or size == samples:
        return (1 - ema) / after, after, float(samples)
    total = ema * mass * size + (1 - ema) * samples
    return (1 - ema) * samples / total, after, total / after


def packed(inverse: DampedInverse | None) -> dict[str, Any] | None:
    """An inverse as plain values."""
    if inverse is None:
        return None
    return {"tensors": inverse.tensors(), "route": inverse.route, "rank": inverse.rank}


def unpacked(state: dict[str, Any] | None) -> DampedInverse | None:
    """The inverse of `packed`."""
    if state is None:
        return None
    tensors = state["tensors"]
    one = DiagonalInverse if tensors[0].ndim == 2 else DenseInverse
    kind = one if len(tensors) == 1 else DualInverse
    return kind(*state["tensors"], route=state["route"], rank=state["rank"])


def _as(use: Any, dtype: torch.dtype | None) -> Any:
    if dtype is None:
        return use
    return type(use)(use.a.to(dtype) if use.a.is_floating_point() else use.a, use.g.to(dtype))


def _vectors(pair: tuple[Tensor, Tensor], sharing: Sharing) -> tuple[Tensor, Tensor]:
    """(N, groups, I, S) and (passes, N, groups, O, S) as (groups, I, m) and (groups, O, m)."""
    a, g = pair
    if sharing == "reduce":
        a, g = a.mean(-1, keepdim=True), g.sum(-1, keepdim=True)
    wide = torch.promote_types(a.dtype, torch.float32)
    return a.permute(1, 2, 0, 3).flatten(2).to(wide), g.permute(2, 3, 0, 1, 4).flatten(2).to(wide)


def _towards(mean: Tensor | None, total: Tensor | None, count: int, share: float) -> Tensor | None:
    """The running mean after a batch; None where the side is kept as vectors."""
    if total is None:
        return None
    new = total / count
    if mean is None or share == 1.0:
        return new
    return torch.lerp(mean.to(new), new, share, out=new)  # a saved mean stays; the network may have a new dtype


def _plus(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    if left is None or right is None:
        return right if left is None else left
    return left.add_(right)


def _beside(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    if left is None or right is None:
        return right if left is None else left
    return torch.cat([left, right], dim=2)
