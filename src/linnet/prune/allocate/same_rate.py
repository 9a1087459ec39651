"""Widths by one rate for all layers: importance decides which channels stay, not how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from linnet.core.channels.union_find import Ints
from linnet.prune.allocate.widths import Price, Selection, Selector
from linnet.prune.importance.from_weights import Floats

Select = Literal["global", "per_layer"]
"""How widths are chosen: all channels set against one another, or one share for all classes."""


def same_rate(selector: Selector, utilities: Sequence[Floats]) -> Selection:
    """The widths of the largest rate r that keeps every limit, each the largest allowed one not above r C.

    Then, while one fits, the class with the smallest share takes its next width: no single unit fits any more.

    Args:
        selector: Of the network and the budget.
        utilities: For each choice (size,): utility of its channels, in any order.

    Returns:
        Widths that keep every limit.
    """
    shares = [allowed / choice.size for allowed, choice in zip(selector.allowed, selector.free, strict=True)]
    rates = np.unique(np.concatenate([[0.0], *shares]))
    low, high = 0, len(rates) - 1  # at 0 all classes are at their floor, which is feasible
    while low < high:
        middle = (low + high + 1) // 2
        if _fit(selector, _widths(selector, rates[middle])):
            low = middle
        else:
            high = middle - 1
    widths = _filled(selector, _widths(selector, rates[low]))
    kept = sum(
        float(np.sort(u)[::-1][:width].sum()) * len(choice.classes)
        for u, width, choice in zip(utilities, widths, selector.free, strict=True)
    )
    count = len(selector.limits)
    return Selection(tuple(int(width) for width in widths), Price(0.0, tuple([1 / count] * count)), kept)


def _widths(selector: Selector, rate: float) -> Ints:
    found = []
    for allowed, choice in zip(selector.allowed, selector.free, strict=True):
        narrow = allowed[allowed / choice.size <= rate]
        found.append(narrow[-1] if len(narrow) else allowed[0])
    return np.array(found, dtype=np.int64)


def _filled(selector: Selector, widths: Ints) -> Ints:
    """Takes the next width of the class with the smallest share, while one fits."""
    while True:
        order = np.argsort([width / c.size for width, c in zip(widths, selector.free, strict=True)], kind="stable")
        trials = [_wider(selector, widths, row) for row in order]
        fitting = next((trial for trial in trials if trial is not None and _fit(selector, trial)), None)
        if fitting is None:
            return widths
        widths = fitting


def _wider(selector: Selector, widths: Ints, row: int) -> Ints | None:
    larger = selector.allowed[row][selector.allowed[row] > widths[row]]
    if not len(larger):
        return None
    trial = widths.copy()
    trial[row] = larger[0]
    return trial


def _fit(selector: Selector, widths: Ints) -> bool:
    return bool(selector.fits(widths)[0])
