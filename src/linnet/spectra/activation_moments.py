"""Gaussian moments of activations: E phi(u) phi(v) and E phi'(u) phi'(v), in closed form or by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from linnet.errors import InputError
from linnet.suggest import meant

Function = Callable[[Tensor], Tensor]
Moment = Callable[[Tensor, Tensor, Tensor], Tensor]

_FIRST_NODES, _MOST_NODES, _AGREED = 40, 320, 1e-8
_FIRST_POLAR, _MOST_POLAR = 24, 192
_LARGEST_VARIANCE = 1e4  # measured on erf: slopes by sectors are exact to 1e-11 up to here, to 1e-5 at 1e8
_RADIUS = 12.0  # the normal density beyond is 1e-32
_NOTHING = 1e-13  # of sqrt(E phi^2 E phi^2): what is left of a moment that is zero by symmetry


@dataclass(frozen=True)
class Moments:
    """E phi(u) phi(v) and E phi'(u) phi'(v) for u, v normal with variances a, a' and covariance b.

    Attributes:
        value: E phi(u) phi(v), of (a, a', b).
        slope: E phi'(u) phi'(v), of (a, a', b).
    """

    value: Moment
    slope: Moment


def moments_of(activation: str | Function) -> Moments:
    """The moments of an activation that is known by name, or of any function.

    A function is integrated by Gauss-Hermite quadrature; where that doesn't converge, as the function has a kink or a
    jump at 0 or bends much within the variance, by sectors in polar coordinates with borders u = 0 and v = 0.

    Args:
        activation: One of `MOMENTS`, or a function of tensors that autograd can differentiate.

    Raises:
        InputError: the name is unknown.
    """
    if not isinstance(activation, str):
        _check_function(activation)
        return _integrated(activation)
    if activation not in MOMENTS:
        raise InputError(
            f"`activation` must be one of {', '.join(map(repr, MOMENTS))}, or a function of a tensor (got "
            f"{activation!r}).{meant(activation, MOMENTS)} Pass the function itself for another one."
        )
    return MOMENTS[activation]


def _check_function(activation: Function) -> None:
    try:
        given = torch.linspace(-2.0, 2.0, 6, dtype=torch.float64).reshape(2, 3)
        found = activation(given)
        sound = isinstance(found, Tensor) and found.shape == given.shape
        what = f"a result of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    except Exception as error:  # whatever a user's function raises is told
        raise InputError(
            f"`activation` must be a name or a function of a float64 tensor (got {activation!r}, which raises "
            f"{type(error).__name__}: {error})."
        ) from error
    if not sound:
        raise InputError(
            f"`activation` must give a tensor of the shape of its argument, entry by entry (got {what} for (2, 3))."
        )


def _cosine(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
    return (b / (a * other).clamp_min(torch.finfo(b.dtype).tiny).sqrt()).clamp(-1.0, 1.0)


def _relu_value(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
    c = _cosine(a, other, b)
    return (a * other).sqrt() / (2 * math.pi) * ((1 - c * c).sqrt() + c * math.pi / 2 + c * c.asin())


def _relu_slope(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
    return (math.pi / 2 + _cosine(a, other, b).asin()) / (2 * math.pi)


def _erf(scale: float) -> Moments:
    """Of erf(s x), with k = 2 s^2: (2/pi) asin(k b / sqrt((1 + k a)(1 + k a'))) and its derivative by b."""
    k = 2 * scale * scale

    def value(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
        return 2 / math.pi * (k * b / ((1 + k * a) * (1 + k * other)).sqrt()).asin()

    def slope(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
        return 2 * k / math.pi / ((1 + k * a) * (1 + k * other) - (k * b) ** 2).sqrt()

    return Moments(value, slope)


def _by_quadrature(phi: Function) -> Moment:
    """E phi(u) phi(v), with nodes doubled until two levels agree."""

    def moment(a: Tensor, other: Tensor, b: Tensor) -> Tensor:
        found = _settled(lambda nodes: _hermite_sum(phi, a, other, b, nodes), phi, a, other, _FIRST_NODES, _MOST_NODES)
        if found is None and float(torch.maximum(a.max(), other.max())) <= _LARGEST_VARIANCE:
            found = _settled(
                lambda nodes: _polar_sum(phi, a, other, b, nodes), phi, a, other, _FIRST_POLAR, _MOST_POLAR
            )
        if found is not None:
            return found
        raise InputError(
            f"The moments of this activation don't converge with {_MOST_NODES} nodes: variances up to "
            f"{float(a.max()):.3g} are too large for it. Scale the inputs, or lower `weight_variance`."
        )

    return moment


def _settled(
    rule: Callable[[int], Tensor], phi: Function, a: Tensor, other: Tensor, first: int, most: int
) -> Tensor | None:
    """The first level that agrees with the one before, to 1e-8 of the size that the moment could have."""
    size = (_size(phi, a) * _size(phi, other)).sqrt()
    nodes, before = first, None
    while nodes <= most:
        found = rule(nodes)
        if before is not None and bool(((found - before).abs() <= _AGREED * size.max()).all()):
            return torch.where(found.abs() <= _NOTHING * size, torch.zeros_like(found), found)
        nodes, before = 2 * nodes, found
    return None


def _size(phi: Function, a: Tensor) -> Tensor:
    """E phi(u)^2, roughly."""
    z, w = _hermite(_FIRST_NODES)
    return phi(a.sqrt().unsqueeze(-1) * z).square() @ w


def _hermite_sum(phi: Function, a: Tensor, other: Tensor, b: Tensor, nodes: int) -> Tensor:
    """u = sqrt(a) z1 and v = sqrt(a') (c z1 + sqrt(1 - c^2) z2), z independent and normal."""
    z, w = _hermite(nodes)
    c = _cosine(a, other, b).unsqueeze(-1)
    u = phi(a.sqrt().unsqueeze(-1) * z)
    total = torch.zeros_like(b)
    for number in range(nodes):  # one z2 at a time: (N1, N2, nodes) is the largest tensor
        v = phi(other.sqrt().unsqueeze(-1) * (c * z + (1 - c * c).sqrt() * z[number]))
        total += w[number] * (u * v) @ w
    return total


def _polar_sum(phi: Function, a: Tensor, other: Tensor, b: Tensor, nodes: int) -> Tensor:
    """z = r (cos t, sin t): u = sqrt(a) r cos t, v = sqrt(a') r cos(t - beta), beta = acos c; four sectors of t."""
    knots, weights = _legendre(nodes)
    beta = _cosine(a, other, b).acos()
    r, radial = _RADIUS * knots, _RADIUS * weights
    radial = radial * r * torch.exp(-r * r / 2) / (2 * math.pi)
    total = torch.zeros_like(b)
    half = math.pi / 2
    for begin, end in ((-half, beta - half), (beta - half, half), (half, beta + half), (beta + half, 3 * half)):
        length = torch.as_tensor(end - begin).expand_as(beta)
        for knot, weight in zip(knots, weights, strict=True):
            angle = begin + length * knot
            u = phi((a.sqrt() * angle.cos()).unsqueeze(-1) * r)
            v = phi((other.sqrt() * (angle - beta).cos()).unsqueeze(-1) * r)
            total += weight * length * ((u * v) @ radial)
    return total


@cache
def _hermite(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights for the normal distribution."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.from_numpy(z), torch.from_numpy(w / w.sum())


@cache
def _legendre(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on (0, 1), drawn to both ends by s^3 (10 - 15 s + 6 s^2), where a function may bend sharply."""
    z, w = np.polynomial.legendre.leggauss(nodes)
    s = (z + 1) / 2
    knots, slope = s**3 * (10 - 15 * s + 6 * s * s), 30 * (s * (1 - s)) ** 2
    return torch.from_numpy(knots), torch.from_numpy(w / 2 * slope)


def _derivative(phi: Function) -> Function:
    def slope(u: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            return torch.autograd.grad(phi(leaf).sum(), leaf)[0]

    return slope


def _integrated(phi: Function) -> Moments:
    return Moments(_by_quadrature(phi), _by_quadrature(_derivative(phi)))


MOMENTS: Mapping[str, Moments] = MappingProxyType(
    {
        "relu": Moments(_relu_value, _relu_slope),
        "linear": Moments(lambda a, other, b: b, lambda a, other, b: torch.ones_like(b)),
        "tanh": _integrated(torch.tanh),
        "gelu": _integrated(torch.nn.functional.gelu),
        "silu": _integrated(torch.nn.functional.silu),
        "softplus": _integrated(torch.nn.functional.softplus),
        "erf": _erf(1.0),
        "erf_scaled": _erf(math.sqrt(0.5)),
    }
)
