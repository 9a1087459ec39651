"""The exact curvature block of a few parameters: norm layers, lone biases, embeddings, parameters of own modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from linnet.core.capture.gram import sample_major
from linnet.core.capture.layers.matrix import split_rows
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.optim.natural.kronecker.damped_inverse import DampedInverse, invert, invert_vectors
from linnet.optim.natural.kronecker.kronecker_block import Sums, share_of


@dataclass
class SmallBlock:
    """F_m = (1/N) sum_nk j_nk j_nk^T of one module's small parameters, damped by rho itself.

    Attributes:
        names: Its parameters, one after another along the axes of F_m; in diagonal blocks entry by entry, so that a
            channel's scale and shift are neighbours.
        a: Running mean of F_m, (1, P, P), or its diagonal blocks (blocks, size, size).
        mass: Weight of the running mean, 1 - ema^k (bias correction).
        latest: Rows of the last refresh, where they are kept instead of F_m.
        a_inverse: (F_m + rho)^-1.
        size: Mean number of samples of the refreshes in the running mean; None: unknown.
    """

    names: tuple[str, ...]
    a: Tensor | None = None
    mass: float = 0.0
    latest: Sums | None = None
    a_inverse: DampedInverse | None = field(default=None, repr=False)
    size: float | None = None

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
            dtype: Of the product; None for that of the rows. The sum is float32 at least.
            keep_vectors: Keep the rows where they are fewer than the parameters.
            max_side: More parameters than that are taken as diagonal blocks; None: never.
            rng_seed: Not read: gradients of samples need every position.
        """
        rows = [sample_major(layer.terms[name].rows()) for name in self.names]
        wide = torch.promote_types(rows[0].dtype, torch.float32)
        rows = rows if dtype is None else [row.to(dtype) for row in rows]
        side = sum(row.shape[1] for row in rows)
        if keep_vectors and rows[0].shape[0] < side:
            return Sums(layer.samples, layer.samples, a_vectors=torch.cat(rows, dim=1).T.unsqueeze(0).to(wide))
        parts = 1 if max_side is None else -(-side // max_side)
        vectors = split_rows(_joined(rows, turns=parts > 1).T.unsqueeze(0), parts)
        return Sums(layer.samples, layer.samples, a=torch.bmm(vectors, vectors.mT).to(wide))

    def update(self, sums: Sums, *, ema: float) -> None:
        """Takes a batch's sum into the running mean."""
        share, self.mass, self.size = share_of(sums.samples, self.mass, self.size, ema)
        if sums.a is None:
            self.a, self.latest = None, Sums(sums.samples, sums.columns, a_vectors=sums.a_vectors)
            return
        new = sums.a / sums.samples
        self.latest = None
        # into the new tensor: a mean that was saved stays as it is
        self.a = new if self.a is None or share == 1.0 else torch.lerp(self.a.to(new), new, share, out=new)

    def refresh(self, rho: float, sides: str = "a") -> None:
        """Finds the damped inverse anew."""
        if "a" not in sides:
            return
        if self.a is not None:
            self.a_inverse = invert(self.a, self.a.new_full((len(self.a),), rho))
            return
        assert self.latest is not None
        vectors = self.latest.a_vectors
        assert vectors is not None
        self.a_inverse = invert_vectors(vectors, self.latest.samples, vectors.new_full((1,), rho))

    def times(self, gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(F_m + rho)^-1 grad, by parameter name."""
        assert self.a_inverse is not None
        parts = [gradient[name] for name in self.names]
        turns = len(self.a_inverse.tensors()[0]) > 1
        flat = _joined([part.reshape(1, -1) for part in parts], turns=turns)
        moved = self.a_inverse.times(flat[:, :, None]).to(flat.dtype).reshape(-1)
        sizes = [part.numel() for part in parts]
        pieces = moved.view(-1, len(parts)).unbind(1) if turns and _alike(sizes) else moved.split(sizes)
        return {name: piece.reshape(part.shape) for name, piece, part in zip(self.names, pieces, parts, strict=True)}

    @property
    def route(self) -> str:
        """How it was inverted."""
        assert self.a_inverse is not None
        return f"exact {self.a_inverse.route}"


def _joined(parts: Sequence[Tensor], *, turns: bool) -> Tensor:
    """Matrices (n, P_k) side by side; column by column in turns where that is asked for and they are alike."""
    if turns and _alike([part.shape[1] for part in parts]):
        return torch.stack(list(parts), dim=2).flatten(1)
    return torch.cat(list(parts), dim=1)


def _alike(sizes: Sequence[int]) -> bool:
    return len(set(sizes)) == 1
