"""A batch norm in exact rationals, and the two ways in which it leaves the program: thresholds and scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from torch import Tensor

from linnet.errors import FreezeError
from linnet.jet.integer.nodes import Scores, Threshold

SCORE_LIMIT = 2**30
ROOT_BITS = 128  # binary digits of the square roots in scores; their error is far below the rounding to integers


@dataclass(frozen=True)
class Norm:
    """gamma (v - mean) / sqrt(q) + beta for each channel, q = var + eps, as exact values of the stored numbers."""

    gamma: tuple[Fraction, ...]
    beta: tuple[Fraction, ...]
    mean: tuple[Fraction, ...]
    q: tuple[Fraction, ...]

    def repeated(self, per: int) -> Norm:
        """Each channel `per` times, as flattening a map does it."""
        return Norm(
            *(tuple(v for v in part for _ in range(per)) for part in (self.gamma, self.beta, self.mean, self.q))
        )


def norm_of(
    name: str, channels: int, gamma: Tensor | None, beta: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> Norm:
    """A batch norm's parameters and statistics as fractions.

    Raises:
        FreezeError: one of them is NaN or infinite, or var + eps isn't positive.
    """
    parts = []
    for word, tensor in (("weight", gamma), ("bias", beta), ("running_mean", mean), ("running_var", var)):
        values = [1.0 if word == "weight" else 0.0] * channels if tensor is None else tensor.detach().double().tolist()
        if not all(map(math.isfinite, values)):
            raise FreezeError(
                f"`{name}.{word}` holds NaN or infinity, and an exact program needs finite numbers. Train again with a "
                "lower learning rate."
            )
        parts.append(tuple(map(Fraction, values)))
    q = tuple(v + Fraction(eps) for v in parts[3])
    if min(q) <= 0:
        raise FreezeError(f"`{name}` has running_var + eps <= 0 in a channel. Train it on real batches first.")
    return Norm(parts[0], parts[1], parts[2], q)


def threshold_of(
    low: np.ndarray, high: np.ndarray, scale: Fraction, shifts: Sequence[Fraction], norm: Norm | None
) -> Threshold:
    """For each channel the integer from which on the sign of v = scale a + shift, batch normed, changes.

    The predicate is monotone in a, and decided without a rounding; bisection over [low, high + 1] finds the place.

    Args:
        low: Smallest a of each channel.
        high: Largest a.
        scale: Not 0.
        shifts: One a channel.
        norm: None for the bare sign of v.
    """
    thresholds, flips = np.empty(len(low), np.int64), np.empty(len(low), bool)
    for c in range(len(low)):
        gamma = Fraction(1) if norm is None else norm.gamma[c]
        if gamma == 0:
            thresholds[c], flips[c] = low[c], norm is not None and norm.beta[c] < 0
            continue
        rising = gamma * scale > 0
        first, last = int(low[c]), int(high[c]) + 1
        while first < last:
            middle = (first + last) // 2
            if _positive(scale * middle + shifts[c], norm, c) == rising:
                last = middle
            else:
                first = middle + 1
        thresholds[c], flips[c] = first, not rising
    return Threshold(thresholds, flips)


def _positive(v: Fraction, norm: Norm | None, c: int) -> bool:
    """Whether g (v - mean) + b sqrt(q) >= 0, in rationals."""
    if norm is None:
        return v >= 0
    u, b = norm.gamma[c] * (v - norm.mean[c]), norm.beta[c]
    if u >= 0:
        return b >= 0 or u * u >= b * b * norm.q[c]
    return b >= 0 and b * b * norm.q[c] >= u * u


def slopes(norm: Norm | None, channels: int) -> np.ndarray:
    """Sign of gamma of each channel: int8."""
    if norm is None:
        return np.ones(channels, np.int8)
    return np.array([(g > 0) - (g < 0) for g in norm.gamma], np.int8)


def scores_of(low: np.ndarray, high: np.ndarray, scale: Fraction, shifts: Sequence[Fraction], norm: Norm) -> Scores:
    """Fixed-point multipliers and offsets of the logits m a + c, with the largest common shift below 2^30.

    m = gamma scale / sqrt(q) and c = beta + gamma (shift - mean) / sqrt(q), each rounded to nearest, ties to even,
    after multiplication by 2^shift. Then |score 2^-shift - logit| <= (max |a| + 1) / 2 * 2^-shift.
    """
    logits = []
    for c in range(len(low)):
        root = _root(norm.q[c])
        m = norm.gamma[c] * scale / root
        logits.append((m, norm.beta[c] + norm.gamma[c] * (shifts[c] - norm.mean[c]) / root))
    largest = int(np.maximum(np.abs(low), np.abs(high)).max())
    reach = max(max(abs(m * int(a) + c) for a in (low[k], high[k])) for k, (m, c) in enumerate(logits))
    shift = 30 if reach == 0 else 31 - max(1, math.ceil(reach)).bit_length()
    while True:
        factor = Fraction(2) ** shift
        rounded = [(round(m * factor), round(c * factor)) for m, c in logits]
        ends = [
            abs(m * int(a) + c) for (m, c), k in zip(rounded, range(len(low)), strict=True) for a in (low[k], high[k])
        ]
        if max(ends) < SCORE_LIMIT and max(abs(n) for pair in rounded for n in pair) < SCORE_LIMIT:
            break
        shift -= 1
    error = float((Fraction(largest + 1, 2) + Fraction(1, 2**32)) / factor)
    multipliers, offsets = (np.array(part, np.int64) for part in zip(*rounded, strict=True))
    return Scores(multipliers, offsets, shift, error)


def _root(q: Fraction) -> Fraction:
    """A square root to ROOT_BITS digits below the point of the larger of 1 and itself."""
    grown = q.numerator * q.denominator << (2 * ROOT_BITS)
    return Fraction(math.isqrt(grown), q.denominator << ROOT_BITS)
