"""The NTK of a perceptron of infinite width, layer by layer, in closed form or by quadrature."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from linnet.errors import InputError
from linnet.spectra.activation_moments import MOMENTS, Function, Moments, moments_of

__all__ = ["MOMENTS", "infinite_width_ntk", "layer_kernels"]

Kernels = dict[str, Float[Tensor, "n m"]]


def infinite_width_ntk(
    *, depth: int = 3, activation: str | Function = "relu", weight_variance: float = 2.0, bias_variance: float = 0.0
) -> Callable[[Tensor, Tensor], Kernels]:
    """(x1, x2) -> {layer: Theta_l}, the limit of J_l(x1) J_l(x2)^T of `linnet.models.ntk_mlp` at infinite width.

    A_0 = x1 x2^T / M_0, q_l = sigma_w^2 A_{l-1} + sigma_b^2, A_l = E phi phi at q_l, B_L = 1,
    B_l = sigma_w^2 B_{l+1} E phi' phi' at q_l, Theta_l = B_l (sigma_w^2 A_{l-1} + sigma_b^2). For C outputs each is to
    be taken times I_C; no 1/N. `linnet.optim.predict(..., kernel=...)` takes what this gives.

    Args:
        depth: L, the number of weight layers.
        activation: "relu", "linear", "erf", "erf_scaled" = erf(x / sqrt 2) (closed forms), "tanh", "gelu", "silu" or
            "softplus" (Gauss-Hermite quadrature in two dimensions, nodes doubled until two levels agree to 1e-8), or
            any
            function of a tensor (likewise).
        weight_variance: sigma_w^2.
        bias_variance: sigma_b^2; 0: no biases.

    Returns:
        A function of x1 (N1, ...) and x2 (N2, ...) that gives "layers.0" ... -> (N1, N2) float64.

    Raises:
        InputError: an argument can't be used; the quadrature doesn't converge.

    Source:
        Jacot et al. 2018; closed forms of ReLU: Cho & Saul 2009.

    Example:
        >>> import torch
        >>> x = torch.eye(3)
        >>> kernel = infinite_width_ntk(depth=2, activation="linear", weight_variance=1.0)
        >>> {name: round(float(theta[0, 0]), 4) for name, theta in kernel(x, x).items()}
        {'layers.0': 0.3333, 'layers.1': 0.3333}
    """
    moments = moments_of(activation)
    if depth < 1 or weight_variance <= 0 or bias_variance < 0:
        raise InputError(
            f"`depth` is {depth}, `weight_variance` {weight_variance} and `bias_variance` {bias_variance}; at least 1, "
            "above 0 and at least 0 are needed."
        )

    def kernel(x1: Tensor, x2: Tensor) -> Kernels:
        return layer_kernels(x1, x2, moments, [weight_variance] * depth, [bias_variance] * depth)

    return kernel


def layer_kernels(
    x1: Tensor, x2: Tensor, moments: Moments, weights: Sequence[float], biases: Sequence[float]
) -> Kernels:
    """Theta_l of every layer for given inputs.

    Args:
        x1: (N1, ...).
        x2: (N2, ...).
        moments: Of the activation.
        weights: sigma_w^2 of each weight layer.
        biases: sigma_b^2 of each.
    """
    first, second = x1.flatten(1).double(), x2.flatten(1).double()
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"`x2` must have as many entries in each sample as `x1`, {first.shape[1]} (got {second.shape[1]})."
        )
    size = first.shape[1]
    own1, own2, cross = first.square().sum(1) / size, second.square().sum(1) / size, first @ second.T / size
    read, slopes = [], []
    depth = len(weights)
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        q1, q2, q = weight * own1 + bias, weight * own2 + bias, weight * cross + bias
        read.append(q)
        if layer == depth - 1:
            break
        pairs = q1[:, None].expand_as(q), q2.expand_as(q), q
        slopes.append(moments.slope(*pairs))
        own1, own2, cross = moments.value(q1, q1, q1), moments.value(q2, q2, q2), moments.value(*pairs)
    back, found = torch.ones_like(read[-1]), []
    for layer in range(depth - 1, -1, -1):
        found.append(back * read[layer])
        back = weights[layer] * back * slopes[layer - 1] if layer else back
    return {f"layers.{layer}": theta for layer, theta in enumerate(reversed(found))}
