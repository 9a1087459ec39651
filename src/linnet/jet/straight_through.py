"""The sign function of binarized networks and its two gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Activation(torch.autograd.Function):
    """+1 where x >= 0, else -1; backward g where |x| <= 1 (the hard tanh's)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _signs(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        # The hard tanh's own backward leaves its bounds out, so they are the next numbers beyond 1; it takes a
        # thirtieth of the time of a comparison and a choice.
        bound = 1.0 + torch.finfo(x.dtype).eps
        return torch.ops.aten.hardtanh_backward(gradient, x, -bound, bound)


class _Latent(torch.autograd.Function):
    """The same signs; a latent outside [-1, 1] still gets the gradient that brings it back.

    A step of descent goes against the gradient, so beyond +1 a positive one points back inside, beyond -1 a negative
    one. Without it an optimizer with momentum would carry a latent out once and it would stay there for good.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _signs(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return torch.where((x.abs() <= 1) | (gradient * x > 0), gradient, 0.0)


def sign_activation(x: Tensor) -> Tensor:
    """+1 where x >= 0 (also at -0.0), else -1; the gradient passes where |x| <= 1."""
    return _Activation.apply(x)  # pyright: ignore[reportReturnType]


def sign_latent(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1; the gradient passes where |x| <= 1 or where it points back inside."""
    return _Latent.apply(x)  # pyright: ignore[reportReturnType]


def _signs(x: Tensor) -> Tensor:
    if torch.compiler.is_compiling():  # a compiler may drop the addition of 0
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
    # -0.0 + 0.0 is +0.0; a twelfth of the time of a comparison and a choice
    return torch.copysign(torch.ones((), dtype=x.dtype, device=x.device), x + 0.0)
