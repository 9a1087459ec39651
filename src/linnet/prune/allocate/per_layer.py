"""Widths by one rate for all layers: importance decides which channels stay, not how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from linnet.arrays import Floats, Ints
from linnet.prune.allocate.widths import Price, Selection, Selector

Select = Literal["global", "per_layer"]
"""How widths are chosen: all channels compete, or all classes keep one share."""


def same_rate(selector: Selector, importances: Sequence[Floats]) -> Selection:
    """The widths of the largest rate r that keeps every limit, each the largest allowed one not above r C.

    Then, while one fits, the class with the smallest share takes its next width: no single unit fits any more.

    Args:
        selector: Of the network and the budget.
        importances: For each group (size,): importance of its channels, in any order.

    Returns:
        Widths that keep every limit.
    """
    shares = [allowed / group.size for allowed, group in zip(selector.allowed, selector.free, strict=True)]
    rates = np.unique(np.concatenate([[0.0], *shares]))
    low, high = 0, len(rates) - 1  # at 0 all classes are at their floor, which is feasible
    while low < high:
        middle = (low + high + 1) // 2
        if selector.fits(_widths(selector, rates[middle]))[0]:
            low = middle
        else:
            high = middle - 1
    widths = _filled(selector, _widths(selector, rates[low]))
    kept = selector.kept_importance([np.sort(u)[::-1] for u in importances], widths)
    count = len(selector.limits)
    return Selection(tuple(int(width) for width in widths), Price(0.0, tuple([1 / count] * count)), kept)


def _widths(selector: Selector, rate: float) -> Ints:
    found = []
    for allowed, group in zip(selector.allowed, selector.free, strict=True):
        narrow = allowed[allowed / group.size <= rate]
        found.append(narrow[-1] if len(narrow) else allowed[0])
    return np.array(found, dtype=np.int64)


def _filled(selector: Selector, widths: Ints) -> Ints:
    """Takes the next width of the class with the smallest share, while one fits."""
    while True:
        rows, trials = selector.wider(widths)
        fitting = np.flatnonzero(selector.fits(trials)) if rows else []
        if not len(fitting):
            return widths
        shares = [widths[rows[trial]] / selector.free[rows[trial]].size for trial in fitting]
        widths = trials[fitting[int(np.argmin(shares))]]
