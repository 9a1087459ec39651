"""The NTK of a perceptron of infinite width, layer by layer, in closed form or by quadrature."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from linnet.errors import InputError

Kernels = dict[str, Float[Tensor, "n m"]]

_FIRST_NODES, _MOST_NODES, _AGREED = 40, 320, 1e-8


@dataclass(frozen=True)
class Moments:
    """E phi(u) phi(v) and E phi'(u) phi'(v) for u, v normal with variances a, a' and covariance b.

    Attributes:
        value: E phi(u) phi(v), of (a, a', b).
        slope: E phi'(u) phi'(v), of (a, a', b).
    """

    value: Callable[[Tensor, Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor, Tensor], Tensor]


def infinite_width_ntk(
    *, depth: int = 3, activation: str = "relu", weight_variance: float = 2.0, bias_variance: float = 0.0
) -> Callable[[Tensor, Tensor], Kernels]:
    """(x1, x2) -> {layer: Theta_l}, the limit of J_l(x1) J_l(x2)^T of `linnet.models.ntk_mlp` at infinite width.

    A_0 = x1 x2^T / M_0, q_l = sigma_w^2 A_{l-1} + sigma_b^2, A_l = E phi phi at q_l, B_L = 1,
    B_l = sigma_w^2 B_{l+1} E phi' phi' at q_l, Theta_l = B_l (sigma_w^2 A_{l-1} + sigma_b^2). For C outputs each is to
    be taken times I_C; no 1/N. `linnet.optim.predict(..., kernel=...)` takes what this gives.

    Args:
        depth: L, the number of weight layers.
        activation: "relu", "linear" (closed forms), "tanh", "gelu" or "silu" (Gauss-Hermite quadrature in two
            dimensions, nodes doubled until two levels agree to 1e-8).
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
    if activation not in MOMENTS:
        raise InputError(f"`activation` is {activation!r}; it must be one of {', '.join(map(repr, MOMENTS))}.")
    if depth < 1 or weight_variance <= 0 or bias_variance < 0:
        raise InputError(
            f"`depth` is {depth}, `weight_variance` {weight_variance} and `bias_variance` {bias_variance}; at least 1, "
            "above 0 and at least 0 are needed."
        )

    def kernel(x1: Tensor, x2: Tensor) -> Kernels:
        return _layers(x1, x2, depth, MOMENTS[activation], weight_variance, bias_variance)

    return kernel


def _layers(x1: Tensor, x2: Tensor, depth: int, moments: Moments, weight: float, bias: float) -> Kernels:
    first, second = x1.flatten(1).double(), x2.flatten(1).double()
    if first.shape[1] != second.shape[1]:
        raise InputError(f"`x1` has {first.shape[1]} entries a sample and `x2` {second.shape[1]}; the same is needed.")
    size = first.shape[1]
    own1, own2, cross = first.square().sum(1) / size, second.square().sum(1) / size, first @ second.T / size
    read, slopes = [], []
    for layer in range(depth):
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
        back = weight * back * slopes[layer - 1] if layer else back
    return {f"layers.{layer}": theta for layer, theta in enumerate(reversed(found))}


def _cosine(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
    return (b / (a * other).clamp_min(torch.finfo(b.dtype).tiny).sqrt()).clamp(-1.0, 1.0)


def _relu_value(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
    c = _cosine(a, other, b)
    return (a * other).sqrt() / (2 * math.pi) * ((1 - c * c).sqrt() + c * math.pi / 2 + c * c.asin())


def _relu_slope(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
    return (math.pi / 2 + _cosine(a, other, b).asin()) / (2 * math.pi)


def _by_quadrature(phi: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """E phi(u) phi(v), with nodes doubled until two levels agree."""

    def moment(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
        nodes, before = _FIRST_NODES, None
        while nodes <= _MOST_NODES:
            found = _quadrature(phi, a, other, b, nodes)
            if before is not None and float((found - before).abs().max()) <= _AGREED * float(found.abs().max()):
                return found
            nodes, before = 2 * nodes, found
        raise InputError(
            f"The moments of this activation don't converge with {_MOST_NODES} nodes: variances up to "
            f"{float(a.max()):.3g} are too large for it. Scale the inputs, or lower `weight_variance`."
        )

    return moment


def _quadrature(phi: Callable[[Tensor], Tensor], a: Tensor, other: Tensor, b: Tensor, nodes: int) -> Tensor:
    """u = sqrt(a) z1 and v = sqrt(a') (c z1 + sqrt(1 - c^2) z2), z independent and normal."""
    z, w = _hermite(nodes)
    c = _cosine(a, other, b).unsqueeze(-1)
    u = phi(a.sqrt().unsqueeze(-1) * z)
    total = torch.zeros_like(b)
    for number in range(nodes):  # one z2 at a time: (N1, N2, nodes) is the largest tensor
        v = phi(other.sqrt().unsqueeze(-1) * (c * z + (1 - c * c).sqrt() * z[number]))
        total += w[number] * (u * v) @ w
    return total


@cache
def _hermite(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights for the normal distribution."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.from_numpy(z), torch.from_numpy(w / w.sum())


def _derivative(phi: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def slope(u: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            return torch.autograd.grad(phi(leaf).sum(), leaf)[0]

    return slope


def _smooth(phi: Callable[[Tensor], Tensor]) -> Moments:
    return Moments(_by_quadrature(phi), _by_quadrature(_derivative(phi)))


MOMENTS: Mapping[str, Moments] = MappingProxyType(
    {
        "relu": Moments(_relu_value, _relu_slope),
        "linear": Moments(lambda a, other, b: b, lambda a, other, b: torch.ones_like(b)),
        "tanh": _smooth(torch.tanh),
        "gelu": _smooth(torch.nn.functional.gelu),
        "silu": _smooth(torch.nn.functional.silu),
    }
)
