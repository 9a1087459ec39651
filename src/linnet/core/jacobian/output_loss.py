"""The contract of a loss: its value, its residual, and a root of its curvature in the outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Loss(ABC):
    """A loss (1/N) sum_n l(f_n, y_n) whose Hessian in f_n is Q_n = R_n R_n^T, and whose gradient is r_n = R_n u_n.

    Outputs are given as f (N, D), all axes but the first flattened. Where a sample's loss is a sum over positions, Q_n
    is block-diagonal over them, and each position's block is multiplied with its share: 1 / S where all S count alike.

    Attributes:
        name: As the user spells it.
        positions: S, of one sample.
    """

    name: str
    positions: int = 1

    def at(self, shape: Sequence[int], class_dim: int | None) -> Loss:
        """This loss for outputs of a shape.

        Args:
            shape: Of the model's output, (N, ...).
            class_dim: Its axis of the classes; None where it isn't known.

        Raises:
            InputError: outputs of this shape can't be used.
        """
        return self

    @abstractmethod
    def check(self, f: Tensor, y: Tensor) -> None:
        """Raises InputError where targets `y` don't fit outputs f (N, D)."""

    @abstractmethod
    def value(self, f: Tensor, y: Tensor) -> Tensor:
        """The loss, a scalar."""

    @abstractmethod
    def residual(self, f: Tensor, y: Tensor) -> Tensor:
        """r (N, D): N times the gradient of the loss with respect to f."""

    def shares(self, f: Tensor, y: Tensor) -> Tensor | None:
        """The factor of each position's curvature, (N, S); None where it is 1 / S for all."""
        return None

    def passes(self, f: Tensor) -> int:
        """Columns of R."""
        return f.shape[1]

    @abstractmethod
    def root(self, f: Tensor, shares: Tensor | None = None) -> Tensor:
        """R as cotangents, (passes, N, D): entry (k, n, d) is R_n[d, k]."""

    @abstractmethod
    def coordinates(self, f: Tensor, r: Tensor, shares: Tensor | None = None) -> Tensor:
        """u (N, passes) with R_n u_n = r_n, for r as `residual` gives it."""

    @abstractmethod
    def pulled(self, f: Tensor, v: Tensor, shares: Tensor | None = None) -> Tensor:
        """R_n^T v_n, (N, passes), for v (N, D)."""

    @abstractmethod
    def implied(self, f: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """(the loss, the loss of outputs 0) summed over the samples, with the targets that the residual r tells of."""

    @abstractmethod
    def draw(self, f: Tensor, generator: torch.Generator, shares: Tensor | None = None) -> Tensor:
        """Cotangents w (1, N, D) of a target drawn from the network's own distribution: E w w^T = Q."""

    def ways(self, f: Tensor, generator: torch.Generator, shares: Tensor | None = None) -> Tensor:
        """R, or fewer cotangents with E sum_k w_k w_k^T = Q where R has too many for an everyday step."""
        return self.root(f, shares)

    def empirical(self, f: Tensor, r: Tensor, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(cotangents (passes, N, D), u (N, passes)) of the true targets: one pass for each position."""
        return r.unsqueeze(0), torch.ones_like(f[:, :1])

    def empirical_at_once(self, r: Tensor, shares: Tensor | None = None) -> Tensor:
        """The sum of the cotangents of `empirical`, (N, D)."""
        return r

    def whole_gradient(self, f: Tensor) -> float:
        """What r is multiplied with to be that sum, where all positions have the same share."""
        return 1.0


def signs(size: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Independent +1 and -1, drawn on the CPU."""
    return (2 * torch.randint(0, 2, tuple(size), generator=generator) - 1).to(like)
