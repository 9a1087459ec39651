"""The sign of a sum of two batch norms, as one integer combination and a threshold a channel.

A residual sum in front of a sign asks whether g1 x1 + g2 x2 + c >= 0, with real numbers g1, g2, c and integers x1, x2
in proven ranges. The pairs for which it holds lie on one side of a line, and there are finitely many pairs: a line with
small integer coefficients parts them in the same way. The simplest rational slope that parts every pair of the two
ranges exactly is taken.

Source:
    linnet's choice. The side of each pair near the line is decided in rationals, by squaring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import sqrt

import numpy as np

from linnet.jet.freezing.norm import Norm
from linnet.jet.integer.nodes import Threshold

Pair = tuple[int, int]
ROUNDING = 1e-12  # bound of the relative error of a few float64 operations, with much to spare


@dataclass(frozen=True)
class Addend:
    """gamma (scale x + shift - mean) / sqrt(q) + beta of one channel, for integers x of [low, high].

    Attributes:
        low: Smallest x.
        high: Largest x.
        slope: gamma * scale.
        offset: gamma * (shift - mean).
        beta: As it is.
        q: Variance with eps.
    """

    low: int
    high: int
    slope: Fraction
    offset: Fraction
    beta: Fraction
    q: Fraction

    def numerator(self, x: int) -> Fraction:
        """What stands over sqrt(q)."""
        return self.slope * x + self.offset

    @property
    def steepness(self) -> float:
        """The sum's change from one x to the next, rounded."""
        return float(self.slope) / sqrt(self.q)


def addend(
    channel: int, low: np.ndarray, high: np.ndarray, scale: Fraction, shifts: Sequence[Fraction], norm: Norm | None
) -> Addend:
    """One channel of norm(scale x + shift); without a norm, of scale x + shift.

    Args:
        channel: Its number.
        low: Smallest x of each channel.
        high: Largest x.
        scale: Not 0.
        shifts: One a channel.
        norm: Any, or None.
    """
    ends = int(low[channel]), int(high[channel])
    if norm is None:
        return Addend(*ends, scale, shifts[channel], Fraction(0), Fraction(1))
    gamma = norm.gamma[channel]
    offset = gamma * (shifts[channel] - norm.mean[channel])
    return Addend(*ends, gamma * scale, offset, norm.beta[channel], norm.q[channel])


def sign_of_sum(pairs: Sequence[tuple[Addend, Addend]]) -> tuple[np.ndarray, Threshold]:
    """Multipliers (2, C) and the threshold on m1 x1 + m2 x2 that give the sign of each channel's sum.

    Args:
        pairs: The two addends of each channel.
    """
    multipliers, thresholds = np.zeros((2, len(pairs)), np.int64), np.zeros(len(pairs), np.int64)
    flips = np.zeros(len(pairs), bool)
    for c, (first, second) in enumerate(pairs):
        turned = abs(first.steepness) > abs(second.steepness)  # the steeper one is solved for: slopes up to 1
        x, y = (second, first) if turned else (first, second)
        m, r, thresholds[c], flips[c] = _line(x, y)
        multipliers[:, c] = (r, m) if turned else (m, r)
    return multipliers, Threshold(thresholds, flips)


def is_positive(first: Addend, second: Addend, x: int, y: int) -> bool:
    """Whether the sum is >= 0, decided without a rounding.

    Args:
        first: Of x.
        second: Of y.
        x: Whole number.
        y: Likewise.
    """
    u, v, w = first.numerator(x), second.numerator(y), first.beta + second.beta
    return _sign_of_roots(u, 1 / first.q, v, 1 / second.q, w) >= 0


def _sign_of_roots(u: Fraction, s: Fraction, v: Fraction, t: Fraction, w: Fraction) -> int:
    """Sign of u sqrt(s) + v sqrt(t) + w, by squaring twice."""
    roots = _larger(u, u * u * s, v, v * v * t)  # of u sqrt(s) + v sqrt(t)
    # roots^2 - w^2 = (u^2 s + v^2 t - w^2) + 2 u v sqrt(s t)
    rest, product = u * u * s + v * v * t - w * w, 2 * u * v
    difference = _larger(rest, rest * rest, product, product * product * s * t)
    if roots == 0 or _sign(w) in (0, roots):
        return roots or _sign(w)
    return roots if difference > 0 else _sign(w) if difference < 0 else 0


def _larger(a: Fraction, a_squared: Fraction, b: Fraction, b_squared: Fraction) -> int:
    """Sign of a sum of two numbers whose signs are those of a and b, from their squares."""
    if _sign(a) * _sign(b) >= 0:
        return _sign(a) or _sign(b)
    return _sign(a) * _sign(a_squared - b_squared)


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def _line(x: Addend, y: Addend) -> tuple[int, int, int, bool]:
    """(m, r, T, flip): the sum is >= 0 where (m x + r y >= T) differs from the flip."""
    if y.slope == 0:  # then x's is 0 too: the steeper one is y
        return 0, 0, 0, not is_positive(x, y, x.low, y.low)
    falling = y.slope < 0
    across = np.arange(x.low, x.high + 1, dtype=np.int64)
    first = _first_above(x, y, across, falling=falling)
    above, below = first <= y.high, first > y.low
    if not above.any() or not below.any():
        return 0, 0, 0, falling == bool(above.any())
    turn = _sign(x.slope) * _sign(y.slope)  # the line falls where both slopes have one sign

    def least(p: int, r: int) -> int:
        return int((r * first + turn * p * across)[above].min())

    def parts(p: int, r: int) -> bool:
        return least(p, r) > int((r * (first - 1) + turn * p * across)[below].max())

    p, r = (0, 1) if parts(0, 1) else _simplest(parts, x.slope**2 * y.q / (y.slope**2 * x.q))
    return turn * p, r, least(p, r), falling


def _simplest(accept: Callable[[int, int], bool], square: Fraction) -> Pair:
    """The simplest accepted fraction p / r, where all fractions near enough to sqrt(square) are accepted.

    Down the Stern-Brocot tree towards the root; each run to one side is searched by doubling and halving.
    """
    low, high, upward = (0, 1), (1, 0), True
    while True:
        near, far = (low, high) if upward else (high, low)
        k = _first(partial(_ends, near, far, accept, square, upward=upward))
        before, found = _mixed(near, far, k - 1), _mixed(near, far, k)
        if accept(*found):
            return found
        low, high = (before, found) if upward else (found, before)
        upward = not upward


def _mixed(near: Pair, far: Pair, k: int) -> Pair:
    return near[0] + k * far[0], near[1] + k * far[1]


def _ends(near: Pair, far: Pair, accept: Callable[[int, int], bool], square: Fraction, k: int, *, upward: bool) -> bool:
    """Whether the k-th fraction of a run is accepted or lies beyond the root."""
    p, r = _mixed(near, far, k)
    return accept(p, r) or (p * p < r * r * square) != upward


def _first(holds: Callable[[int], bool]) -> int:
    """The smallest k >= 1 for which something holds that then goes on holding."""
    last = 1
    while not holds(last):
        last *= 2
    first = last // 2 + 1
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if holds(middle) else (middle + 1, last)
    return last


def _first_above(x: Addend, y: Addend, across: np.ndarray, *, falling: bool) -> np.ndarray:
    """For each x the smallest y of [low, high + 1] above the line; a falling sum is positive below it."""
    constant = [float(part.offset) / sqrt(part.q) + float(part.beta) for part in (x, y)]
    size = sum(abs(float(part.offset)) / sqrt(part.q) + abs(float(part.beta)) for part in (x, y))
    line = -(x.steepness * across + sum(constant)) / y.steepness
    slack = ROUNDING * (1 + (np.abs(x.steepness * across) + size) / abs(y.steepness))
    lowest = np.clip(np.ceil(line - slack), y.low, y.high + 1).astype(np.int64)
    highest = np.clip(np.floor(line + slack) + 1, y.low, y.high + 1).astype(np.int64)
    for k in np.flatnonzero(lowest < highest):  # an integer lies within the rounding
        near, far = int(lowest[k]), int(highest[k])
        while near < far:
            middle = (near + far) // 2
            if is_positive(x, y, int(across[k]), middle) != falling:
                far = middle
            else:
                near = middle + 1
        lowest[k] = near
    return lowest
