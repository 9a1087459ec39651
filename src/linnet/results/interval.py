"""Intervals of shares and means."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from linnet.errors import InputError


def share_interval(hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share: Wilson's, which keeps its coverage for few trials and for shares near 0 and 1.

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n) with p = hits/n and z the normal quantile.

    Args:
        hits: Trials that succeeded, 0 .. n.
        n: Independent trials, at least 1.
        level: Coverage, 0 < level < 1.

    Returns:
        (low, high), within [0, 1]; exactly 0 below no hits and exactly 1 above no misses.

    Raises:
        InputError: an argument is out of its range.

    Source:
        Wilson 1927.
    """
    if n < 1 or not 0 <= hits <= n:
        raise InputError(f"`hits` must be from 0 to `n`, and `n` at least 1 (got {hits} hits in {n} trials).")
    z2 = _quantile(level) ** 2 / n
    p = hits / n
    middle = (p + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (p * (1 - p) + z2 / 4)) / (1 + z2)
    return 0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half


def mean_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a mean of many independent values: mean -+ z s / sqrt(n), with s^2 = sum (x - mean)^2 / (n - 1).

    Normal approximation, for n of about 100 or more.

    Args:
        values: At least two.
        level: Coverage, 0 < level < 1.

    Raises:
        InputError: fewer than two values, or `level` is out of its range.
    """
    n = len(values)
    if n < 2:
        raise InputError(f"`values` must hold at least 2 values for an interval of their mean (got {n}).")
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _quantile(level) * deviation / math.sqrt(n)
    return mean - half, mean + half


def t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a mean of few independent values: mean -+ t s / sqrt(n), t Student's quantile, n - 1 degrees.

    Exact for normal values; used for differences over seeds.

    Args:
        values: At least two.
        level: Coverage, 0 < level < 1.

    Raises:
        InputError: fewer than two values, or `level` is out of its range.

    Source:
        Student 1908.
    """
    normal = _quantile(level)  # refuses a level out of range
    low, high = mean_interval(values, level=level)
    from scipy.special import stdtrit  # here, so that records are read without scipy

    middle = (low + high) / 2
    half = (high - low) / 2 * float(stdtrit(len(values) - 1, (1 + level) / 2)) / normal
    return middle - half, middle + half


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"`level` must be a coverage between 0 and 1 (got {level}).")
    return NormalDist().inv_cdf((1 + level) / 2)
