"""Widths by the ranks of layers: no layer is a bottleneck of another.

A layer's weight matrix has at most rank min(kept in, kept out). Widths maximise sum over layers of
log min(kept in, kept out) under all limits, which is concave in the logarithms of the widths. Importances summed over
channels end in bottlenecks instead: a layer costs kept in x kept out, so wide and narrow classes in turn buy the most
channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from linnet.arrays import Floats, Ints
from linnet.core import ChannelGraph
from linnet.prune.allocate.groups import PrunableGroup
from linnet.prune.allocate.per_layer import same_rate
from linnet.prune.allocate.widths import Price, Selection, Selector

Shape = Literal["utility", "rank", "uniform"]
"""What decides widths: the importances of channels, the ranks of layers, or one share of all classes."""

_SHARPNESS = 16.0  # of the soft minimum: a layer of equal sides counts 4 % less than its width
_STEP = 1e-4  # of a relative difference


@dataclass(frozen=True)
class LayerRanks:
    """Channels on both sides of every layer that sums over channels, as affine functions of the groups' widths.

    Attributes:
        inside: (layers, groups): channels that come in for each of a group's width.
        outside: (layers, groups): channels that it makes, likewise.
        fixed: (layers, 2): channels on either side that stay whatever the widths are.
    """

    inside: Floats
    outside: Floats
    fixed: Floats

    @classmethod
    def of(cls, graph: ChannelGraph, free: Sequence[PrunableGroup]) -> LayerRanks:
        """Those of a network."""
        group_of = {name: row for row, group in enumerate(free) for name in group.classes}
        names = list(graph.classes)
        makers: dict[str, list[str]] = {}
        for name, known in graph.classes.items():
            for slot in known.slots:
                if slot.role == "produce":
                    makers.setdefault(slot.tensor.rpartition(".")[0], []).append(name)
        rows = []
        for read in graph.reads():
            made = list(dict.fromkeys(makers.get(read.module, ())))
            read_by = [names[number] for number in np.unique(read.classes) if number >= 0]
            if made and read_by:
                rows.append([_side(graph, side, group_of, len(free)) for side in (read_by, made)])
        inside, outside = (np.array([row[side][0] for row in rows]).reshape(-1, len(free)) for side in (0, 1))
        return cls(inside, outside, np.array([[row[0][1], row[1][1]] for row in rows]).reshape(-1, 2))

    def value(self, widths: Floats) -> tuple[float, Floats]:
        """(sum of log soft minima, its gradient by the logarithms of the widths)."""
        sides = np.stack([self.inside @ widths, self.outside @ widths], axis=1) + self.fixed
        logs = np.log(np.maximum(sides, 1e-9))
        low = logs.min(axis=1, keepdims=True)
        weight = np.exp(-_SHARPNESS * (logs - low))
        total = weight.sum(axis=1, keepdims=True)
        value = float((low - np.log(total / 2) / _SHARPNESS).sum())
        share = weight / total / np.maximum(sides, 1e-9)
        return value, widths * (share[:, 0] @ self.inside + share[:, 1] @ self.outside)


def _side(graph: ChannelGraph, names: Sequence[str], group_of: dict[str, int], count: int) -> tuple[Floats, float]:
    slope, fixed = np.zeros(count), 0.0
    for name in names:
        if name in group_of:
            slope[group_of[name]] += 1
        else:
            fixed += graph.classes[name].size
    return slope, fixed


def by_rank(selector: Selector, ranks: LayerRanks, importances: Sequence[Floats]) -> Selection:
    """The widths with the largest sum over layers of log min(kept in, kept out) that keep every limit.

    They are found as real numbers, rounded down to allowed ones, and filled up until no single unit fits any more.

    Args:
        selector: Of the network and the budget.
        ranks: Of its layers.
        importances: For each group (size,): importance of its channels, for the sum of what is kept.

    Source:
        linnet's choice.
    """
    targets = _optimum(selector, ranks)
    widths = _rounded(selector, targets)
    kept = selector.kept_importance([np.sort(u)[::-1] for u in importances], widths)
    count = len(selector.limits)
    return Selection(tuple(int(width) for width in widths), Price(0.0, tuple([1 / count] * count)), kept)


def shaped(selector: Selector, ranks: LayerRanks, importances: Sequence[Floats], shape: Shape) -> Selection:
    """A selection by one of the shapes; "utility" without a price."""
    if shape == "rank":
        return by_rank(selector, ranks, importances)
    return same_rate(selector, importances) if shape == "uniform" else selector.select(importances)


def _optimum(selector: Selector, ranks: LayerRanks) -> Floats:
    from scipy.optimize import minimize

    low = np.log([float(allowed[0]) for allowed in selector.allowed])
    high = np.log([float(allowed[-1]) for allowed in selector.allowed])
    caps = np.log(selector.caps)

    def room(z: Floats) -> Floats:
        return caps - np.log(selector.real(np.exp(z)[None])[0])

    def slope(z: Floats) -> Floats:
        widths = np.exp(z)
        trials = selector.real(np.concatenate([widths[None], widths[None] * (1 + _STEP * np.eye(len(z)))]))
        return -(np.log(trials[1:]) - np.log(trials[:1])).T / np.log1p(_STEP)

    def loss(z: Floats) -> tuple[float, Floats]:
        value, gradient = ranks.value(np.exp(z))
        return -value, -gradient

    start = low.copy()
    for share in np.linspace(0, 1, 65):  # the largest even mixture of the narrowest and the widest
        mixed = low + share * (high - low)
        if (room(mixed) < 0).any():
            break
        start = mixed
    found = minimize(
        loss, start, jac=True, method="SLSQP", bounds=list(zip(low, high, strict=True)),
        constraints=[{"type": "ineq", "fun": room, "jac": slope}], options={"maxiter": 200, "ftol": 1e-8},
    )  # fmt: skip
    best = np.clip(found.x, low, high)
    fits = (room(best) >= -1e-3).all() and ranks.value(np.exp(best))[0] >= ranks.value(np.exp(start))[0]
    return np.exp(best if fits else start)


def _rounded(selector: Selector, targets: Floats) -> Ints:
    """The largest allowed widths below the targets that keep every limit; then those furthest below go up."""
    scale = 1.0
    while True:
        widths = np.array(
            [row[max(int(np.searchsorted(row, t * scale + 1e-6, side="right")) - 1, 0)]
             for row, t in zip(selector.allowed, targets, strict=True)], dtype=np.int64,
        )  # fmt: skip
        if scale < 0.01 or selector.fits(widths)[0]:
            break
        scale *= 0.99
    while True:
        rows, trials = selector.wider(widths)
        fitting = np.flatnonzero(selector.fits(trials)) if rows else []
        if not len(fitting):
            return widths
        wants = [targets[rows[trial]] / widths[rows[trial]] for trial in fitting]
        widths = trials[fitting[int(np.argmax(wants))]]
