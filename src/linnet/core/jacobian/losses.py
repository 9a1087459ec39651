"""The two losses: value, residual, and a root of their curvature in the outputs."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from linnet.errors import InputError

_FLOOR = 1e-12  # of a probability, so that (p - onehot) / sqrt(p) stays finite


class Loss(ABC):
    """A loss (1/N) sum_n l(f_n, y_n) whose Hessian in f_n is Q_n = R_n R_n^T, and whose gradient is r_n = R_n u_n.

    Attributes:
        name: As the user spells it.
    """

    name: str

    @abstractmethod
    def check(self, f: Tensor, y: Tensor) -> None:
        """Raises InputError where targets `y` don't fit outputs f (N, C)."""

    @abstractmethod
    def value(self, f: Tensor, y: Tensor) -> Tensor:
        """The loss, a scalar."""

    @abstractmethod
    def residual(self, f: Tensor, y: Tensor) -> Tensor:
        """r (N, C): N times the gradient of the loss with respect to f."""

    @abstractmethod
    def root(self, f: Tensor) -> Tensor:
        """R as cotangents, (passes, N, C): entry (k, n, c) is R_n[c, k], with rank(Q_n) columns."""

    @abstractmethod
    def coordinates(self, f: Tensor, r: Tensor) -> Tensor:
        """u (N, passes) with R_n u_n = r_n, for r as `residual` gives it."""

    @abstractmethod
    def implied(self, f: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """(the loss, the loss of outputs 0) summed over the samples, with the targets that the residual r tells of."""

    @abstractmethod
    def draw(self, f: Tensor, generator: torch.Generator) -> Tensor:
        """Cotangents w (1, N, C) of a target drawn from the network's own distribution: E w w^T = Q."""


class SquaredError(Loss):
    """(1/2N) sum_n |f_n - y_n|^2, so that Q = I. `nn.MSELoss()` is 2/C times this."""

    name = "mse"

    def check(self, f: Tensor, y: Tensor) -> None:
        """`y` has the shape of f; (N,) will do where there is one output."""
        if y.numel() != f.numel() or len(y) != len(f):
            raise InputError(
                f"`y` must have one target for each output, shape {tuple(f.shape)}, for loss='mse' (got "
                f"{tuple(y.shape)}). Class indices go with loss='cross_entropy'."
            )
        if not y.is_floating_point():
            raise InputError(
                f"`y` must be floating for loss='mse' (got {y.dtype}). Use y.to({f.dtype}), one-hot for classes, "
                "or loss='cross_entropy' with class indices."
            )

    def value(self, f: Tensor, y: Tensor) -> Tensor:
        """(1/2N) sum |f - y|^2."""
        return self.residual(f, y).square().sum() / (2 * len(f))

    def residual(self, f: Tensor, y: Tensor) -> Tensor:
        """F - y."""
        return f - y.reshape(f.shape).to(f.dtype)

    def root(self, f: Tensor) -> Tensor:
        """The identity."""
        outputs = f.shape[1]
        return torch.eye(outputs, dtype=f.dtype, device=f.device)[:, None].expand(outputs, *f.shape)

    def coordinates(self, f: Tensor, r: Tensor) -> Tensor:
        """R itself."""
        return r

    def implied(self, f: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Y = f - r."""
        return r.square().sum() / 2, (f - r).square().sum() / 2

    def draw(self, f: Tensor, generator: torch.Generator) -> Tensor:
        """Y ~ N(f, I), so w = f - y is standard normal."""
        return torch.randn(1, *f.shape, generator=generator, dtype=torch.float64).to(f)


class CrossEntropy(Loss):
    """(1/N) sum_n -log p_n[y_n] with p = softmax(f); Q_n = diag(p_n) - p_n p_n^T has rank C - 1.

    Q_n = D (1 - z z^T) D with D = diag(sqrt p) and z = sqrt p, a unit vector. The reflection H = 1 - w w^T / (1 + z_C),
    w = z + e_C, sends z to -e_C, so its first C - 1 columns H' are a basis of what is orthogonal to z, and R_n = D H'
    has no null direction: a pass, and a row of every Gram matrix, less for each sample than diag(sqrt p) - p z^T has.
    """

    name = "cross_entropy"

    def check(self, f: Tensor, y: Tensor) -> None:
        """`y` holds N class indices."""
        if y.is_floating_point() or y.dtype == torch.bool or y.is_complex():
            raise InputError(
                "`y` must be class indices of an integer type, such as torch.int64, for loss='cross_entropy' (got "
                f"{y.dtype})."
            )
        if y.shape != f.shape[:1]:
            raise InputError(
                f"`y` must have one class index for each sample, shape ({len(f)},), for loss='cross_entropy' (got "
                f"{tuple(y.shape)}). Outputs at several positions: reshape them to (N, C) in the model."
            )
        classes = f.shape[1]
        if classes < 2:
            raise InputError(
                "loss='cross_entropy' needs one logit for each of at least 2 classes (got a model with 1 output)."
            )
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
            raise InputError(
                f"`y` must hold classes from 0 to {classes - 1}, as the model has {classes} outputs (got "
                f"{int(y.min())} to {int(y.max())})."
            )

    def value(self, f: Tensor, y: Tensor) -> Tensor:
        """Mean negative log-likelihood."""
        return torch.nn.functional.cross_entropy(f, y.long())

    def residual(self, f: Tensor, y: Tensor) -> Tensor:
        """P - onehot."""
        return f.softmax(1) - torch.nn.functional.one_hot(y.long(), f.shape[1]).to(f.dtype)

    def root(self, f: Tensor) -> Tensor:
        """D H'."""
        root = self._sqrt(f)
        return (root.unsqueeze(-1) * self._basis(root)).permute(2, 0, 1)

    def coordinates(self, f: Tensor, r: Tensor) -> Tensor:
        """H'^T D^-1 r: D^-1 r is orthogonal to z, as the entries of r add up to 0."""
        root = self._sqrt(f)
        return torch.einsum("nc,nck->nk", r / root, self._basis(root))

    def implied(self, f: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """The target's distribution is p - r."""
        target = f.softmax(1) - r
        return -(target * f.log_softmax(1)).sum(), target.sum() * math.log(f.shape[1])

    def draw(self, f: Tensor, generator: torch.Generator) -> Tensor:
        """W = p - onehot(y), y ~ p."""
        p = f.softmax(1)
        y = torch.multinomial(p.double().cpu(), 1, generator=generator).to(f.device)
        return (p - torch.zeros_like(p).scatter_(1, y, 1.0)).unsqueeze(0)

    @staticmethod
    def _basis(root: Tensor) -> Tensor:
        """H', (N, C, C - 1)."""
        z = root / root.norm(dim=1, keepdim=True)
        w = torch.cat([z[:, :-1], z[:, -1:] + 1], dim=1)
        identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)[:, :-1]
        return identity - w.unsqueeze(2) * (z[:, :-1] / (1 + z[:, -1:])).unsqueeze(1)

    @staticmethod
    def _sqrt(f: Tensor) -> Tensor:
        return f.log_softmax(1).exp().clamp_min(_FLOOR).sqrt()


LOSSES: Mapping[str, Loss] = MappingProxyType({loss.name: loss for loss in (SquaredError(), CrossEntropy())})
