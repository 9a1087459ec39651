"""Select widths: as much utility as a budget allows, never over it, until no unit fits any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from linnet.core.atoms import Ints
from linnet.core.width_cost import TOTALS, WidthCost
from linnet.errors import BudgetError
from linnet.prune.budget import within
from linnet.prune.choice import Choice

Floats = npt.NDArray[np.float64]

# The grid of price="auto": ours. A price may not starve a class below a tenth of its channels.
_ALPHAS = (0.0, 0.25, 0.5, 1.0)
_RHOS = (0.0, 0.25, 0.5, 0.75, 1.0)
_STARVED = 0.1
_ROUNDS = 3


@dataclass(frozen=True)
class Price:
    """How a channel's utility is set against what it costs: u / p^alpha.

    p = sum_j weight_j * (marginal cost of one channel in limit j) / limit_j, scaled to a geometric mean of 1.

    Attributes:
        alpha: 0 ranks by utility alone, 1 by utility per cost.
        weights: One for each limit; their sum is 1.
    """

    alpha: float
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Selection:
    """Widths within the budget.

    Attributes:
        widths: Kept channels of each choice, in its classes alike.
        price: The price they were found with.
        kept_utility: Sum of the kept channels' utilities.
    """

    widths: tuple[int, ...]
    price: Price
    kept_utility: float


class Selector:
    """Finds widths for utilities; made once for a network and a budget.

    Args:
        law: Cost at any widths.
        free: What may be narrowed.
        limits: Name of the cost -> most of it.

    Raises:
        BudgetError: the budget can't be reached even at the smallest widths.
    """

    def __init__(self, law: WidthCost, free: Sequence[Choice], limits: Mapping[str, int]):
        self.law, self.free, self.limits = law, tuple(free), dict(limits)
        self._columns = [TOTALS.index(name) for name in limits]
        self._caps = np.array([limits[name] for name in limits], dtype=np.float64)
        self._members = np.zeros((len(free), len(law.names)), dtype=np.int64)
        for row, choice in enumerate(free):
            self._members[row, [law.names.index(name) for name in choice.classes]] = 1
        self._rest = law.dense * (1 - self._members.sum(axis=0))
        self._allowed = [np.array(choice.widths, dtype=np.int64) for choice in free]
        self._refuse_unreachable()

    def totals(self, widths: Ints) -> Ints:
        """(trials, 4) costs of (trials, choices) widths."""
        return self.law.totals(np.atleast_2d(widths) @ self._members + self._rest)

    def select(self, utilities: Sequence[Floats], price: Price | Literal["auto", "none"] = "auto") -> Selection:
        """Widths for these utilities.

        Args:
            utilities: For each choice (size,): utility of its channels, in any order.
            price: A price, "none" (utility alone), or "auto": with several limits the price of a small grid that keeps
                most utility without starving a class; with one limit "none".

        Returns:
            Widths that keep every limit; no class can take its next width without breaking one.
        """
        ranked = [np.sort(np.asarray(u, dtype=np.float64))[::-1] for u in utilities]
        if isinstance(price, Price):
            return self._selected(ranked, price)
        even = tuple(np.full(len(self._caps), 1 / len(self._caps)))
        plain = self._selected(ranked, Price(0.0, even))
        if price == "none" or len(self._caps) < 2:
            return plain
        trials = [plain, *(self._selected(ranked, trial) for trial in self._grid())]
        fair = [trial for trial in trials if not self._starves(trial)]
        return max(fair or trials, key=lambda trial: trial.kept_utility)

    def _grid(self) -> Iterator[Price]:
        count = len(self._caps)
        if count == 2:
            mixes = [(rho, 1 - rho) for rho in _RHOS]
        else:
            mixes = [tuple(np.full(count, 1 / count)), *(tuple(row) for row in np.eye(count))]
        for alpha in _ALPHAS[1:]:
            for weights in mixes:
                yield Price(alpha, tuple(float(weight) for weight in weights))

    def _starves(self, trial: Selection) -> bool:
        least = [max(choice.widths[0], _STARVED * choice.size) for choice in self.free]
        return any(width < floor for width, floor in zip(trial.widths, least, strict=True))

    def _selected(self, ranked: Sequence[Floats], price: Price) -> Selection:
        scale = np.ones(len(self.free))
        widths = self._refilled(ranked, self._by_threshold(ranked, scale))
        for _ in range(_ROUNDS if price.alpha else 0):
            scale = self._prices(widths, price)
            widths = self._refilled(ranked, self._by_threshold(ranked, scale))
        kept = sum(
            float(u[:width].sum()) * len(c.classes) for u, width, c in zip(ranked, widths, self.free, strict=True)
        )
        return Selection(tuple(int(width) for width in widths), price, kept)

    def _by_threshold(self, ranked: Sequence[Floats], scale: Floats) -> Ints:
        """The widths of the lowest threshold on u / scale that keeps every limit, by bisection."""
        values = [u / s for u, s in zip(ranked, scale, strict=True)]
        thresholds = np.concatenate([[-np.inf], np.unique(np.concatenate(values))])
        low, high = 0, len(thresholds) - 1  # at the highest all classes are at their floor, which is feasible
        while low < high:
            middle = (low + high) // 2
            if within(self.totals(self._above(values, thresholds[middle])), self.limits)[0]:
                high = middle
            else:
                low = middle + 1
        return self._above(values, thresholds[high])

    def _above(self, values: Sequence[Floats], threshold: float) -> Ints:
        """The largest allowed widths not above the number of values above the threshold."""
        counts = [int(np.searchsorted(-v, -threshold, side="left")) for v in values]
        places = [
            max(int(np.searchsorted(allowed, count, side="right")) - 1, 0)
            for allowed, count in zip(self._allowed, counts, strict=True)
        ]
        return np.array([allowed[place] for allowed, place in zip(self._allowed, places, strict=True)], dtype=np.int64)

    def _refilled(self, ranked: Sequence[Floats], widths: Ints) -> Ints:
        """Takes the next width of the class that gains most utility per cost, while one fits."""
        now = self.totals(widths)[0]
        while True:
            rows, trials = self._wider(widths)
            if not len(rows):
                return widths
            totals = self.totals(trials)
            fits = within(totals, self.limits)
            if not fits.any():
                return widths
            cost = ((totals - now)[:, self._columns] / self._caps).max(axis=1)
            gain = np.array(
                [
                    ranked[row][widths[row] : trial[row]].sum() * len(self.free[row].classes)
                    for row, trial in zip(rows, trials, strict=True)
                ]
            )
            worth = np.where(fits, (gain + 1e-300) / np.maximum(cost, 1e-300), -np.inf)
            best = int(np.argmax(worth))
            widths, now = trials[best], totals[best]

    def _wider(self, widths: Ints) -> tuple[list[int], Ints]:
        """Every choice that isn't at its widest, each with its next width."""
        rows = [row for row, allowed in enumerate(self._allowed) if widths[row] < allowed[-1]]
        trials = np.repeat(widths[None], len(rows), axis=0)
        for trial, row in enumerate(rows):
            allowed = self._allowed[row]
            trials[trial, row] = allowed[np.searchsorted(allowed, widths[row], side="right")]
        return rows, trials

    def _prices(self, widths: Ints, price: Price) -> Floats:
        """p^alpha of each choice at these widths."""
        nearby = np.maximum(widths, 2)  # below a width of 2 a difference of one channel would leave none
        base = self.totals(nearby)
        trials = nearby[None] - np.eye(len(nearby), dtype=np.int64)
        per_channel = (base - self.totals(trials))[:, self._columns] / self._caps
        priced = np.maximum(per_channel @ np.array(price.weights), 1e-300)
        return np.exp(price.alpha * (np.log(priced) - np.log(priced).mean()))

    def _refuse_unreachable(self) -> None:
        floor = self.totals(np.array([allowed[0] for allowed in self._allowed]))[0]
        over = {
            name: int(floor[TOTALS.index(name)])
            for name in self.limits
            if floor[TOTALS.index(name)] > self.limits[name]
        }
        if not over:
            return
        dense = self.law.totals(self.law.dense)[0]
        words = "; ".join(
            f"`{name}` can't go below {least:,} ({least / dense[TOTALS.index(name)]:.4g} of the given network's), "
            f"{self.limits[name]:,} was asked"
            for name, least in over.items()
        )
        wide = sorted(self.free, key=lambda choice: -choice.widths[0])[:3]
        held = ", ".join(f"`{c.classes[0]}` at {c.widths[0]} of {c.size}" for c in wide)
        raise BudgetError(
            f"the budget can't be reached: {words}. The smallest widths are {held}; lower `align` or `min_fraction`, "
            "keep less, or give a larger budget."
        )
