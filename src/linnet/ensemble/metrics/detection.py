"""Telling inputs from outside of the distribution by a score: AUROC and the false alarms at 95 % detection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from linnet.ensemble.metrics.answers import scores
from linnet.errors import InputError


def auroc(inside: Any, outside: Any) -> float:
    """P(a score from outside > a score from inside) + half of P(they are equal), exactly, by ranks.

    Args:
        inside: Uncertainties of inputs from the distribution.
        outside: Uncertainties of inputs from outside of it.

    Returns:
        In 0..1; 0.5: the score tells nothing.

    Raises:
        InputError: one of them is empty or holds NaN.

    Example:
        >>> auroc([0.1, 0.2], [0.2, 0.9])
        0.875
    """
    inner, outer = np.sort(scores("inside", inside)), scores("outside", outside)
    below, upto = np.searchsorted(inner, outer, "left"), np.searchsorted(inner, outer, "right")
    return float((below + upto).sum() / (2 * len(inner) * len(outer)))


def fpr95(inside: Any, outside: Any, caught: float = 0.95) -> float:
    """Share of the inside that is reported as outside by the highest threshold that catches 95 % of the outside.

    A score at the threshold is reported, so that equal scores count as false alarms.

    Args:
        inside: Uncertainties of inputs from the distribution.
        outside: Uncertainties of inputs from outside of it.
        caught: Share of the outside that must be reported, 0 < caught <= 1.

    Raises:
        InputError: one of them is empty or holds NaN, or `caught` is out of its range.
    """
    if not 0 < caught <= 1:
        raise InputError(f"`caught` must be above 0 and at most 1 (got {caught}).")
    inner, outer = scores("inside", inside), np.sort(scores("outside", outside))[::-1]
    threshold = outer[math.ceil(caught * len(outer) - 1e-9) - 1]
    return float((inner >= threshold).mean())
