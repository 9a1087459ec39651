"""The two losses of the theory by name: value, residual, and a root of their curvature in the outputs."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from linnet.core.jacobian.cross_entropy import CrossEntropy
from linnet.core.jacobian.output_loss import Loss
from linnet.errors import InputError

__all__ = ["LOSSES", "Loss", "SquaredError"]


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

    def root(self, f: Tensor, shares: Tensor | None = None) -> Tensor:
        """The identity."""
        outputs = f.shape[1]
        return torch.eye(outputs, dtype=f.dtype, device=f.device)[:, None].expand(outputs, *f.shape)

    def coordinates(self, f: Tensor, r: Tensor, shares: Tensor | None = None) -> Tensor:
        """R itself."""
        return r

    def pulled(self, f: Tensor, v: Tensor, shares: Tensor | None = None) -> Tensor:
        """V itself."""
        return v

    def implied(self, f: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Y = f - r."""
        return r.square().sum() / 2, (f - r).square().sum() / 2

    def draw(self, f: Tensor, generator: torch.Generator, shares: Tensor | None = None) -> Tensor:
        """Y ~ N(f, I), so w = f - y is standard normal."""
        return torch.randn(1, *f.shape, generator=generator, dtype=torch.float64).to(f)


LOSSES: Mapping[str, Loss] = MappingProxyType({loss.name: loss for loss in (SquaredError(), CrossEntropy())})
