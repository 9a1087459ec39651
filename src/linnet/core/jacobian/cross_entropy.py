"""Cross entropy of logits at one or several positions, with class weights, ignored targets and smoothed labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from linnet.core.jacobian.output_loss import Loss, signs
from linnet.errors import InputError

_FLOOR = 1e-12  # of a probability, so that (p - onehot) / sqrt(p) stays finite
MOST_PASSES = 32  # of an everyday step; beyond, random signs stand for the exact root (linnet's choice)


@dataclass(frozen=True, eq=False)
class CrossEntropy(Loss):
    """(1/W) sum_m sum_c -tau_mc log p_mc over positions m, p = softmax(f), as `nn.CrossEntropyLoss` has it.

    tau_m is the target's distribution times its weight, w_m = sum_c tau_mc, and W as in torch. r_m = (N/W) (w_m p_m -
    tau_m) and Q_m = (N/W) w_m (diag(p_m) - p_m p_m^T), of rank C - 1; N/W w_m is the position's share.

    diag(p) - p p^T = D (1 - z z^T) D with D = diag(sqrt p) and z = sqrt p, a unit vector. The reflection H = 1 - w w^T
    / (1 + z_C), w = z + e_C, sends z to -e_C, so its first C - 1 columns H' are a basis of what is orthogonal to z, and
    R = D H' has no null direction: a pass, and a row of every Gram matrix, less for each position.

    Attributes:
        weight: Of each class; None: 1.
        ignore_index: Targets of this class don't count.
        label_smoothing: Share of the target's weight that is spread over all classes.
        shape: Of one sample's outputs; None: (C,).
        axis: That of the classes in `shape`.
    """

    name = "cross_entropy"
    weight: Tensor | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    shape: tuple[int, ...] | None = None
    axis: int = 0

    @property
    def positions(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """S."""
        return 1 if self.shape is None else math.prod(self.shape) // self.shape[self.axis]

    def at(self, shape: Sequence[int], class_dim: int | None) -> CrossEntropy:
        """For outputs (N, C), (N, ..., C) or (N, C, ...)."""
        own = tuple(shape[1:])
        if class_dim is None and sum(size > 1 for size in own) < 2:
            return replace(self, shape=None)
        if class_dim is None:
            raise InputError(
                "`class_dim` must be given for loss='cross_entropy' and outputs at several positions, where it isn't "
                f"plain which axis holds the classes (got outputs {tuple(shape)}). NaturalGradient(..., class_dim=-1) "
                "for (N, T, C), class_dim=1 for (N, C, H, W)."
            )
        axis = class_dim + len(shape) if class_dim < 0 else class_dim
        if not 1 <= axis < len(shape):
            raise InputError(
                f"`class_dim` must be an axis of the outputs other than the samples' (got {class_dim} for outputs "
                f"{tuple(shape)})."
            )
        return replace(self, shape=own, axis=axis - 1)

    def check(self, f: Tensor, y: Tensor) -> None:
        """`y` holds a class index for each position, or a distribution over the classes."""
        classes = f.shape[1] // self.positions
        if classes < 2:
            raise InputError(
                "loss='cross_entropy' needs one logit for each of at least 2 classes (got a model with 1 output). Use "
                "loss='binary_cross_entropy' for one logit of two classes."
            )
        if self.weight is not None and len(self.weight) != classes:
            raise InputError(f"`weight` must have {classes} entries, one for each class (got {len(self.weight)}).")
        if y.is_floating_point():
            self._check_distribution(f, y)
            return
        if y.dtype == torch.bool or y.is_complex():
            raise InputError(
                "`y` must be class indices of an integer type, such as torch.int64, for loss='cross_entropy' (got "
                f"{y.dtype})."
            )
        needed = self._places(f)
        if tuple(y.shape) != needed:
            axis = "" if self.shape is None else f", the axis of the classes being {self.axis + 1}"
            raise InputError(
                f"`y` must have one class index for each position, shape {needed}{axis}, for loss='cross_entropy' "
                f"(got {tuple(y.shape)}). NaturalGradient(..., class_dim=...) says where the outputs have the classes."
            )
        counted = y[y != self.ignore_index]
        if len(counted) and not 0 <= int(counted.min()) <= int(counted.max()) < classes:
            raise InputError(
                f"`y` must hold classes from 0 to {classes - 1}, as the model has {classes} outputs (got "
                f"{int(counted.min())} to {int(counted.max())})."
            )
        if not len(counted):
            raise InputError(f"`y` must have a target that counts (got only ignore_index={self.ignore_index}).")

    def value(self, f: Tensor, y: Tensor) -> Tensor:
        """As torch computes it."""
        outputs, target = f, y.to(f.dtype) if y.is_floating_point() else y.long()
        if self.shape is not None:
            outputs = f.view(len(f), *self.shape).movedim(self.axis + 1, 1)
            target = target.movedim(self.axis + 1, 1) if y.is_floating_point() else target
        weight = None if self.weight is None else self.weight.to(f)
        return F.cross_entropy(
            outputs, target, weight, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing
        )

    def residual(self, f: Tensor, y: Tensor) -> Tensor:
        """(N/W) (w_m p_m - tau_m)."""
        rows = self._rows(f)
        if self._plain(y):
            r = rows.softmax(-1) - F.one_hot(y.reshape(rows.shape[:2]).long(), rows.shape[2]).to(f.dtype)
            return self._flat(r if self.positions == 1 else r / self.positions)
        tau, total = self._target(rows, y)
        return self._flat((tau.sum(-1, keepdim=True) * rows.softmax(-1) - tau) * (len(f) / total))

    def shares(self, f: Tensor, y: Tensor) -> Tensor | None:
        """(N/W) w_m."""
        if self._plain(y):
            return None
        tau, total = self._target(self._rows(f), y)
        return tau.sum(-1) * (len(f) / total)

    def passes(self, f: Tensor) -> int:
        """S (C - 1)."""
        return self.positions * (f.shape[1] // self.positions - 1)

    def root(self, f: Tensor, shares: Tensor | None = None) -> Tensor:
        """D H' of each position times the root of its share, 0 at the others: column (s, k) is s (C - 1) + k."""
        rows = self._rows(f)
        z = self._sqrt(rows)
        scale = self._scale(rows, shares)
        columns = (z.unsqueeze(-1) * self._basis(z) * scale.unsqueeze(-1)).permute(3, 0, 1, 2)  # (C - 1, N, S, C)
        positions = rows.shape[1]
        if positions == 1:
            return self._flat(columns)
        apart = rows.new_zeros(positions, len(columns), *rows.shape)
        at = torch.arange(positions, device=f.device)
        apart[at, :, :, at] = columns.movedim(2, 0)
        return self._flat(apart.flatten(0, 1))

    def coordinates(self, f: Tensor, r: Tensor, shares: Tensor | None = None) -> Tensor:
        """H'^T D^-1 r over the root of the share: D^-1 r is orthogonal to z, as the entries of r add up to 0."""
        rows, scale = self._rows(f), self._scale(self._rows(f), shares)
        z = self._sqrt(rows)
        inner = self._reflected(z, self._rows(r) / z)
        return torch.where(scale > 0, inner / scale.clamp_min(1e-30), 0.0).flatten(1)

    def pulled(self, f: Tensor, v: Tensor, shares: Tensor | None = None) -> Tensor:
        """H'^T D v."""
        rows = self._rows(f)
        z = self._sqrt(rows)
        return (self._reflected(z, z * self._rows(v)) * self._scale(rows, shares)).flatten(1)

    def implied(self, f: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """The target's distribution is p - S r."""
        rows = self._rows(f)
        target, logs = rows.softmax(-1) - self._rows(r) * self.positions, rows.log_softmax(-1)
        per_sample = 1.0 / self.positions
        return -(target * logs).sum() * per_sample, target.sum() * (math.log(rows.shape[2]) * per_sample)

    def draw(self, f: Tensor, generator: torch.Generator, shares: Tensor | None = None) -> Tensor:
        """W = p - onehot(y), y ~ p, at each position."""
        rows = self._rows(f)
        p = rows.softmax(-1).flatten(0, 1)
        y = torch.multinomial(p.double().cpu(), 1, generator=generator).to(f.device)
        w = (p - torch.zeros_like(p).scatter_(1, y, 1.0)).view_as(rows)
        return self._flat(w if self.positions == 1 and shares is None else w * self._scale(rows, shares)).unsqueeze(0)

    def ways(self, f: Tensor, generator: torch.Generator, shares: Tensor | None = None) -> Tensor:
        """R up to 32 passes; beyond, its columns at all positions together, or all columns, with random signs."""
        if self.passes(f) <= MOST_PASSES:
            return self.root(f, shares)
        rows = self._rows(f)
        z, scale = self._sqrt(rows), self._scale(rows, shares)
        if rows.shape[2] - 1 <= MOST_PASSES:
            columns = (z.unsqueeze(-1) * self._basis(z) * scale.unsqueeze(-1)).permute(3, 0, 1, 2)
            return self._flat(columns * signs((1, *rows.shape[:2], 1), generator, f))
        v = signs(rows.shape, generator, f)
        unit = z / z.norm(dim=-1, keepdim=True)
        return self._flat(z * scale * (v - unit * (unit * v).sum(-1, keepdim=True))).unsqueeze(0)

    def empirical(self, f: Tensor, r: Tensor, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """sqrt(share) (p - tau / w) at one position after another, and the roots of the shares."""
        if self.positions == 1 and shares is None:
            return r.unsqueeze(0), torch.ones_like(f[:, :1])
        rows, positions = self._rows(self.empirical_at_once(r, shares)), self.positions
        apart = rows.new_zeros(positions, *rows.shape)
        at = torch.arange(positions, device=f.device)
        apart[at, :, at] = rows.transpose(0, 1)
        return self._flat(apart), self._scale(rows, shares).squeeze(-1).expand(len(f), positions)

    def empirical_at_once(self, r: Tensor, shares: Tensor | None = None) -> Tensor:
        """R over the root of the share."""
        if self.positions == 1 and shares is None:
            return r
        rows = self._rows(r)
        scale = self._scale(rows, shares)
        return self._flat(torch.where(scale > 0, rows / scale.clamp_min(1e-30), 0.0))

    def whole_gradient(self, f: Tensor) -> float:
        """The root of S."""
        return self.positions**0.5

    def _plain(self, y: Tensor) -> bool:
        """Whether every position has one class and the weight 1."""
        if self.weight is not None or self.label_smoothing or y.is_floating_point():
            return False
        return not bool((y == self.ignore_index).any())

    def _target(self, rows: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(tau (N, S, C), W)."""
        classes, smoothing = rows.shape[2], self.label_smoothing
        weight = rows.new_ones(classes) if self.weight is None else self.weight.to(rows)
        if y.is_floating_point():
            t = self._rows(y.reshape(len(y), -1).to(rows.dtype))
            return weight * ((1 - smoothing) * t + smoothing / classes), rows.new_tensor(float(rows[..., 0].numel()))
        y = y.reshape(rows.shape[:2]).long()
        counts = (y != self.ignore_index).to(rows.dtype)
        y = torch.where(y == self.ignore_index, 0, y)
        total = (weight[y] * counts).sum()
        tau = (1 - smoothing) * F.one_hot(y, classes).to(rows.dtype) * weight + smoothing / classes * weight
        return tau * counts.unsqueeze(-1), total

    def _scale(self, rows: Tensor, shares: Tensor | None) -> Tensor:
        """The root of each share, (N, S, 1) or (1, 1, 1)."""
        if shares is None:
            return rows.new_full((1, 1, 1), self.positions**-0.5)
        return shares.to(rows.dtype).sqrt().unsqueeze(-1)

    def _rows(self, f: Tensor) -> Tensor:
        """(N, D) as (N, S, C)."""
        if self.shape is None:
            return f.unsqueeze(1)
        return f.view(len(f), *self.shape).movedim(self.axis + 1, -1).reshape(len(f), self.positions, -1)

    def _flat(self, rows: Tensor) -> Tensor:
        """(..., N, S, C) as (..., N, D)."""
        if self.shape is None:
            return rows.squeeze(-2)
        rest = [size for number, size in enumerate(self.shape) if number != self.axis]
        split = rows.reshape(*rows.shape[:-2], *rest, rows.shape[-1])
        return split.movedim(-1, rows.ndim - 2 + self.axis).reshape(*rows.shape[:-2], -1)

    def _places(self, f: Tensor) -> tuple[int, ...]:
        """The shape of class indices."""
        rest = () if self.shape is None else tuple(s for k, s in enumerate(self.shape) if k != self.axis)
        return (len(f), *rest)

    def _check_distribution(self, f: Tensor, y: Tensor) -> None:
        needed = (len(f), f.shape[1]) if self.shape is None else (len(f), *self.shape)
        if tuple(y.shape) != needed:
            raise InputError(
                f"`y` must be class indices of an integer type, shape {self._places(f)}, or the classes' "
                f"probabilities, shape {needed}, for loss='cross_entropy' (got {y.dtype}, {tuple(y.shape)})."
            )
        sums = self._rows(y.reshape(len(y), -1)).sum(-1)
        if not bool((y >= 0).all()) or float((sums - 1).abs().max()) > 1e-2:  # bfloat16 has 8 bits
            raise InputError(
                "`y` must hold class indices of an integer type, or probabilities that add up to 1 over the classes "
                f"(got {y.dtype} with sums from {float(sums.min()):.3g} to {float(sums.max()):.3g}, least entry "
                f"{float(y.min()):.3g})."
            )

    @staticmethod
    def _reflected(z: Tensor, v: Tensor) -> Tensor:
        """H'^T v."""
        z = z / z.norm(dim=-1, keepdim=True)
        along = (z * v).sum(-1, keepdim=True) + v[..., -1:]  # w . v
        return v[..., :-1] - z[..., :-1] * (along / (1 + z[..., -1:]))

    @staticmethod
    def _basis(root: Tensor) -> Tensor:
        """H', (..., C, C - 1)."""
        z = root / root.norm(dim=-1, keepdim=True)
        w = torch.cat([z[..., :-1], z[..., -1:] + 1], dim=-1)
        identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)[:, :-1]
        return identity - w.unsqueeze(-1) * (z[..., :-1] / (1 + z[..., -1:])).unsqueeze(-2)

    @staticmethod
    def _sqrt(f: Tensor) -> Tensor:
        return f.log_softmax(-1).exp().clamp_min(_FLOOR).sqrt()
