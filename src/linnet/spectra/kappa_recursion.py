"""The recursions behind kappa: second moments forward, derivatives backward, for one sample and for two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from linnet.errors import InputError
from linnet.spectra.activation_moments import Moments
from linnet.suggest import is_number, one_of

Pair = tuple[float, float]


def recursions(
    moments: Moments, weights: Sequence[float], biases: Sequence[float], input_moments: Pair
) -> tuple[tuple[Pair, ...], tuple[Pair, ...], tuple[Pair, ...]]:
    """(qh of the input and hidden layers, q of each weight layer, qt of each weight layer), each for t = 1 and 2."""
    forward, fields, slopes = [input_moments], [], []
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        q1, q2 = (weight * forward[-1][t] + bias for t in (0, 1))
        fields.append((q1, q2))
        if layer == len(weights) - 1:
            break
        a = torch.tensor([q1, q1], dtype=torch.float64)
        b = torch.tensor([q1, max(-q1, min(q1, q2))], dtype=torch.float64)
        value, slope = moments.value(a, a, b), moments.slope(a, a, b)
        forward.append((float(value[0]), float(value[1])))
        slopes.append((float(slope[0]), float(slope[1])))
    back = [(1.0, 1.0)]
    for weight, slope in zip(reversed(weights[1:]), reversed(slopes), strict=True):
        back.append((weight * back[-1][0] * slope[0], weight * back[-1][1] * slope[1]))
    return tuple(forward), tuple(fields), tuple(reversed(back))


def checked(
    depth: int,
    weight_variance: float | Sequence[float],
    bias_variance: float | Sequence[float],
    width: float,
    samples: int,
    classes: int,
    loss: str,
    widths: Sequence[float] | None,
    input_moments: Pair,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The variances of each layer, once everything is in its range."""
    for name, value in (("depth", depth), ("samples", samples), ("classes", classes)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"`{name}` must be a whole number >= 1 (got {value!r}).")
    if not is_number(width, 1.0):
        raise InputError(f"`width` must be at least 1 (got {width!r}).")
    one_of("loss", loss, ("mse", "cross_entropy"))
    if loss == "cross_entropy" and classes < 2:
        raise InputError(f"`classes` must be 2 or more for cross entropy (got {classes}).")
    if widths is not None and (len(widths) != depth or not all(is_number(m, 1.0) for m in widths)):
        raise InputError(
            f"`widths` must hold {depth} sizes >= 1, of the input and of each hidden layer (got {tuple(widths)})."
        )
    variances = []
    for name, value, least in (("weight_variance", weight_variance, 1e-300), ("bias_variance", bias_variance, 0.0)):
        of_layers = (float(value),) * depth if isinstance(value, (int, float)) else tuple(float(v) for v in value)
        if len(of_layers) != depth or not all(least <= v < math.inf for v in of_layers):
            sign = "above 0" if least else "0 or more"
            raise InputError(f"`{name}` must be {sign}, one number or one for each of {depth} layers (got {value!r}).")
        variances.append(of_layers)
    pair = tuple(input_moments)
    q1, q2 = pair if len(pair) == 2 and all(map(is_number, pair)) else (0.0, 0.0)
    if not (0 < q1 < math.inf and abs(q2) <= q1 * (1 + 1e-9)):
        raise InputError(f"`input_moments` must be (q1, q2) with q1 > 0 and |q2| <= q1 (got {input_moments}).")
    return variances[0], variances[1]
