"""Unused: what a budget left over, and why no channel more was taken for it."""

from __future__ import annotations

import numpy as np

from linnet.prune.plan import Plan
from linnet.prune.select import Selector


def unused(selector: Selector, plan: Plan) -> dict[str, tuple[float, str]]:
    """For each limit the share of it that a plan costs, and what stands against the rest.

    Args:
        selector: What chose the plan's widths.
        plan: What stays.

    Returns:
        Name of the limit -> (share, reason).
    """
    widths = np.array([len(plan.kept[choice.classes[0]]) for choice in selector.free], dtype=np.int64)
    spent, columns = selector.totals(widths)[0], selector.law.columns
    wider, names = [], []
    for row, choice in enumerate(selector.free):
        more = next((width for width in choice.widths if width > widths[row]), None)
        if more is not None:
            wider.append(np.where(np.arange(len(widths)) == row, more, widths))
            names.append(f"`{choice.classes[0]}` from {widths[row]} to {more} channels")
    extra = selector.totals(np.array(wider)) - spent if wider else np.zeros((0, len(columns)), dtype=np.int64)
    left = {limit: most - int(spent[columns.index(limit)]) for limit, most in selector.limits.items()}
    return {
        limit: (int(spent[columns.index(limit)]) / most, _reason(limit, extra, names, left, columns))
        for limit, most in selector.limits.items()
    }


def _reason(limit: str, extra: np.ndarray, names: list[str], left: dict[str, int], columns: tuple[str, ...]) -> str:
    if not left[limit]:
        return "nothing is left"
    if not names:
        return "every class is as wide as it may be"
    fits = np.all([extra[:, columns.index(other)] <= room for other, room in left.items()], axis=0)
    if fits.any():
        return f"{names[int(np.argmax(fits))]} would fit"
    own = extra[:, columns.index(limit)]
    if own.min() > left[limit]:
        least = int(np.argmin(own))
        return f"the smallest step, {names[least]}, takes {own[least]:,} and {left[limit]:,} are left"
    breaks = [
        other for other, room in left.items() if bool((extra[own <= left[limit], columns.index(other)] > room).any())
    ]
    return f"the steps that would fit break {' or '.join(f'`{other}`' for other in breaks if other != limit)}"
