"""Binary cross entropy of independent logits, each its own two classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from linnet.core.jacobian.cross_entropy import MOST_PASSES
from linnet.core.jacobian.output_loss import Loss, signs
from linnet.errors import InputError

_FLOOR = 1e-12  # of p (1 - p)


@dataclass(frozen=True, eq=False)
class BinaryCrossEntropy(Loss):
    """The mean over samples and outputs of -v [w y log p + (1 - y) log(1 - p)], p = sigmoid(f).

    As `nn.BCEWithLogitsLoss` has it, with v its `weight` and w its `pos_weight`. Q = diag(v (1 + (w - 1) y) p (1 - p))
    / D with D outputs; v (1 + (w - 1) y) / D is an output's share.

    Attributes:
        weight: v, as torch broadcasts it; None: 1.
        pos_weight: w, likewise.
        shape: Of one sample's outputs; None: (D,).
    """

    name = "binary_cross_entropy"
    weight: Tensor | None = None
    pos_weight: Tensor | None = None
    shape: tuple[int, ...] | None = None

    def at(self, shape: Sequence[int], class_dim: int | None) -> BinaryCrossEntropy:
        """Every output is a position."""
        return replace(self, shape=tuple(shape[1:]) or (1,))

    def check(self, f: Tensor, y: Tensor) -> None:
        """`y` holds a probability for each output."""
        if y.numel() != f.numel() or len(y) != len(f):
            raise InputError(
                f"`y` must have one target for each output, shape {tuple(f.shape)}, for loss='binary_cross_entropy' "
                f"(got {tuple(y.shape)})."
            )
        if y.is_complex() or not bool(((y >= 0) & (y <= 1)).all()):
            raise InputError("`y` must hold 0, 1 or probabilities between them for loss='binary_cross_entropy'.")

    def value(self, f: Tensor, y: Tensor) -> Tensor:
        """As torch computes it."""
        weight, pos_weight = (None if w is None else w.to(f) for w in (self.weight, self.pos_weight))
        outputs = self._shaped(f)
        return F.binary_cross_entropy_with_logits(
            outputs, y.reshape(outputs.shape).to(f.dtype), weight, pos_weight=pos_weight
        )

    def residual(self, f: Tensor, y: Tensor) -> Tensor:
        """v [(1 + (w - 1) y) p - w y] / D."""
        y, v, w = self._weighted(f, y)
        return v * ((1 + (w - 1) * y) * f.sigmoid() - w * y) / f.shape[1]

    def shares(self, f: Tensor, y: Tensor) -> Tensor | None:
        """v (1 + (w - 1) y) / D."""
        if self.weight is None and self.pos_weight is None:
            return None
        y, v, w = self._weighted(f, y)
        return v * (1 + (w - 1) * y) / f.shape[1]

    def root(self, f: Tensor, shares: Tensor | None = None) -> Tensor:
        """diag(sqrt(share p (1 - p)))."""
        return torch.diag_embed(self._deviation(f, shares)).permute(1, 0, 2)

    def coordinates(self, f: Tensor, r: Tensor, shares: Tensor | None = None) -> Tensor:
        """R / sqrt(share p (1 - p))."""
        deviation = self._deviation(f, shares)
        return torch.where(deviation > 0, r / deviation.clamp_min(1e-30), 0.0)

    def pulled(self, f: Tensor, v: Tensor, shares: Tensor | None = None) -> Tensor:
        """V sqrt(share p (1 - p))."""
        return v * self._deviation(f, shares)

    def implied(self, f: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """The target is p - D r."""
        target = f.sigmoid() - r * f.shape[1]
        value = (F.softplus(f) - target * f).sum() / f.shape[1]
        return value, value.new_tensor(len(f) * math.log(2.0))

    def draw(self, f: Tensor, generator: torch.Generator, shares: Tensor | None = None) -> Tensor:
        """W = p - y, y ~ p, at each output."""
        p = f.sigmoid()
        y = torch.bernoulli(p.double().cpu(), generator=generator).to(p)
        return ((p - y) * self._scale(f, shares)).unsqueeze(0)

    def ways(self, f: Tensor, generator: torch.Generator, shares: Tensor | None = None) -> Tensor:
        """R up to 32 outputs; beyond, all its columns together with random signs."""
        if f.shape[1] <= MOST_PASSES:
            return self.root(f, shares)
        return (self._deviation(f, shares) * signs(f.shape, generator, f)).unsqueeze(0)

    def empirical(self, f: Tensor, r: Tensor, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One output after another."""
        return torch.diag_embed(self.empirical_at_once(r, shares)).permute(1, 0, 2), self._scale(f, shares).expand_as(f)

    def empirical_at_once(self, r: Tensor, shares: Tensor | None = None) -> Tensor:
        """R over the root of the share."""
        scale = self._scale(r, shares)
        return torch.where(scale > 0, r / scale.clamp_min(1e-30), 0.0)

    def whole_gradient(self, f: Tensor) -> float:
        """The root of D."""
        return f.shape[1] ** 0.5

    def _deviation(self, f: Tensor, shares: Tensor | None) -> Tensor:
        return (f.sigmoid() * (-f).sigmoid()).clamp_min(_FLOOR).sqrt() * self._scale(f, shares)

    def _scale(self, f: Tensor, shares: Tensor | None) -> Tensor:
        return f.new_full((1, 1), f.shape[1] ** -0.5) if shares is None else shares.to(f.dtype).sqrt()

    def _shaped(self, f: Tensor) -> Tensor:
        return f if self.shape is None else f.view(len(f), *self.shape)

    def _weighted(self, f: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(y, v, w), (N, D) each."""
        like = self._shaped(f)
        one = f.new_ones(())
        v, w = (
            (one if x is None else x.to(f)).expand_as(like).reshape(f.shape) for x in (self.weight, self.pos_weight)
        )
        return y.reshape(f.shape).to(f.dtype), v, w
