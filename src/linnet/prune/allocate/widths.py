"""Width allocation: as much importance as a budget allows, never over it, until no further unit fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from linnet.arrays import Floats, Ints
from linnet.errors import BudgetError
from linnet.prune.allocate.groups import PrunableGroup
from linnet.prune.budget import within

# What price="auto" tries: ours. Beyond 0 and 1 a weight pays for the use of a limit that would be left over.
_ALPHAS = (0.25, 0.5, 1.0)
_RHOS = (-2.0, 3.0)
_HALVINGS = 6
_SPENT = 0.9  # share of every limit that should be used
_STARVED = 0.1  # no price may take a class below a tenth of its channels
_ROUNDS = 3
_FREE = 1e-4  # a channel's cost counts as at least this part of the dearest one's


@dataclass(frozen=True)
class Price:
    """The ranking of a channel by its importance and its cost: u / p^alpha.

    p = prod_j (marginal cost of one channel in limit j)^weight_j, scaled to a geometric mean of 1. With alpha above 0 a
    tenth of every class stays, where the budget allows it: what is cheap would starve what is dear.

    Attributes:
        alpha: 0 ranks by importance alone, 1 by importance per cost.
        weights: One for each limit; their sum is 1. A negative one rewards what uses its limit.
    """

    alpha: float
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Selection:
    """Widths within the budget.

    Attributes:
        widths: Kept channels of each group, in its classes alike.
        price: The price they were found with.
        kept_importance: Sum of the kept channels' importances.
    """

    widths: tuple[int, ...]
    price: Price
    kept_importance: float


class Costs(Protocol):
    """A network's cost at any widths: `WidthCost`, or one that knows more limits."""

    columns: tuple[str, ...]
    names: tuple[str, ...]
    dense: Ints

    def totals(self, widths: Ints) -> Ints:
        """int64 (trials, columns) of int64 (trials, classes)."""
        ...

    def real(self, widths: Floats) -> Floats:
        """float64 (trials, columns) of float64 (trials, classes): between whole widths too."""
        ...


class Selector:
    """Finds widths for importances; made once for a network and a budget.

    Args:
        law: Cost at any widths.
        free: What may be narrowed.
        limits: Name of the cost -> most of it.

    Raises:
        BudgetError: the budget can't be reached even at the smallest widths.
    """

    def __init__(self, law: Costs, free: Sequence[PrunableGroup], limits: Mapping[str, int]):
        self.law, self.free = law, tuple(free)
        self._columns = [law.columns.index(name) for name in limits]
        self._members = np.zeros((len(free), len(law.names)), dtype=np.int64)
        for row, group in enumerate(free):
            self._members[row, [law.names.index(name) for name in group.classes]] = 1
        self._rest = law.dense * (1 - self._members.sum(axis=0))
        self._every = [np.array(group.widths, dtype=np.int64) for group in free]
        self._held: frozenset[int] = frozenset()
        self.limit(limits)

    def limit(self, limits: Mapping[str, int]) -> None:
        """Other limits of the same costs from now on.

        Raises:
            BudgetError: they can't be reached even at the smallest widths.
        """
        self.limits = dict(limits)
        self._caps = np.array(list(self.limits.values()), dtype=np.float64)
        self._spendable = np.minimum(self._caps, self.law.totals(self.law.dense)[0, self._columns])
        self._refuse_unreachable()
        self._fair = self._unstarved()

    def totals(self, widths: Ints) -> Ints:
        """(trials, costs) of (trials, groups) widths."""
        return self.law.totals(np.atleast_2d(widths) @ self._members + self._rest)

    @property
    def caps(self) -> Floats:
        """(limits,): most of each cost."""
        return self._caps

    def real(self, widths: Floats) -> Floats:
        """(trials, limits) costs of (trials, groups) widths that needn't be whole."""
        return self.law.real(np.atleast_2d(widths) @ self._members + self._rest)[:, self._columns]

    @property
    def _allowed(self) -> list[Ints]:
        return [widths[-1:] if row in self._held else widths for row, widths in enumerate(self._every)]

    @property
    def allowed(self) -> tuple[Ints, ...]:
        """Widths that each group may take, ascending."""
        return tuple(self._allowed)

    def narrow(self, most: Ints) -> None:
        """From now on no group may be wider than this, (groups,)."""
        self._every = [row[row <= width] for row, width in zip(self._every, most, strict=True)]
        self._fair = self._unstarved()

    def hold(self, rows: Iterable[int]) -> None:
        """Until it is called again these groups keep their width.

        Raises:
            BudgetError: the limits can't be reached so.
        """
        held = frozenset(rows)
        if held == self._held:
            return
        self._held = held
        self._refuse_unreachable()
        self._fair = self._unstarved()

    def select(self, importances: Sequence[Floats], price: Price | Literal["auto", "none"] = "auto") -> Selection:
        """Widths for these importances.

        Args:
            importances: For each group (size,): importance of its channels, in any order.
            price: A price, "none" (importance alone), or "auto". With one limit "auto" is "none". With several, prices
                are tried for which every limit is used; of those selections that use at least 0.9 of every limit (of
                all, if there are none) and starve no class, the one that keeps most importance is taken. For two limits
                the weight is found by halving an interval, once for each of three alphas.

        Returns:
            Widths that keep every limit; no class can take its next width without breaking one.
        """
        ranked = [np.sort(np.asarray(u, dtype=np.float64))[::-1] for u in importances]
        if isinstance(price, Price):
            return self._selected(ranked, price)
        plain = self._selected(ranked, Price(0.0, (1 / len(self._caps),) * len(self._caps)))
        if price == "none" or len(self._caps) < 2:
            return plain
        trials = [plain]
        for alpha in _ALPHAS:
            trials += self._pair(ranked, alpha) if len(self._caps) == 2 else self._mixes(ranked, alpha)
        fair = [trial for trial in trials if not self._starves(trial)] or trials
        spent = [trial for trial in fair if self.use(trial).min() >= _SPENT] or fair
        return max(spent, key=lambda trial: trial.kept_importance)

    def use(self, selection: Selection) -> Floats:
        """Share of each limit that a selection uses; of a limit that the whole network keeps, its share of that."""
        return self.totals(np.array(selection.widths))[0, self._columns] / self._spendable

    def _pair(self, ranked: Sequence[Floats], alpha: float) -> Iterator[Selection]:
        """Selections by prices of two limits that close in on where the less used one is used just enough."""
        low, high = _RHOS
        for _ in range(_HALVINGS):
            rho = (low + high) / 2
            trial = self._selected(ranked, Price(alpha, (rho, 1 - rho)))
            yield trial
            first, second = self.use(trial)
            more_of_first = (first < second) == (min(first, second) < _SPENT)
            low, high = (low, rho) if more_of_first else (rho, high)

    def _mixes(self, ranked: Sequence[Floats], alpha: float) -> Iterator[Selection]:
        """Selections by an even price of all limits and by a price of each alone."""
        count = len(self._caps)
        for weights in (np.full(count, 1 / count), *np.eye(count)):
            yield self._selected(ranked, Price(alpha, tuple(float(weight) for weight in weights)))

    def _starves(self, trial: Selection) -> bool:
        least = [max(group.widths[0], _STARVED * group.size) for group in self.free]
        return any(width < floor for width, floor in zip(trial.widths, least, strict=True))

    def _unstarved(self) -> list[Ints]:
        """Allowed widths of at least a tenth of every class, where the budget allows them all."""
        fair = []
        for allowed, group in zip(self._allowed, self.free, strict=True):
            enough = allowed[allowed >= _STARVED * group.size]
            fair.append(enough if len(enough) else allowed[-1:])
        least = self.totals(np.array([allowed[0] for allowed in fair]))
        return fair if within(least, self.limits, self.law.columns)[0] else self._allowed

    def _selected(self, ranked: Sequence[Floats], price: Price) -> Selection:
        allowed = self._fair if price.alpha else self._allowed
        scale = np.ones(len(self.free))
        widths = self._refilled(ranked, self._by_threshold(ranked, scale, allowed))
        for _ in range(_ROUNDS if price.alpha else 0):
            scale = self._prices(widths, price)
            widths = self._refilled(ranked, self._by_threshold(ranked, scale, allowed))
        return Selection(tuple(int(width) for width in widths), price, self.kept_importance(ranked, widths))

    def _by_threshold(self, ranked: Sequence[Floats], scale: Floats, allowed: Sequence[Ints]) -> Ints:
        """The widths of the lowest threshold on u / scale that keeps every limit, by bisection."""
        values = [u / s for u, s in zip(ranked, scale, strict=True)]
        thresholds = np.concatenate([[-np.inf], np.unique(np.concatenate(values))])
        low, high = 0, len(thresholds) - 1  # at the highest all classes are at their floor, which is feasible
        while low < high:
            middle = (low + high) // 2
            if self.fits(self._above(values, thresholds[middle], allowed))[0]:
                high = middle
            else:
                low = middle + 1
        return self._above(values, thresholds[high], allowed)

    def fits(self, widths: Ints) -> npt.NDArray[np.bool_]:
        """Which of (trials, groups) widths keep every limit."""
        return within(self.totals(widths), self.limits, self.law.columns)

    def _above(self, values: Sequence[Floats], threshold: float, allowed: Sequence[Ints]) -> Ints:
        """The largest allowed widths not above the number of values above the threshold."""
        counts = [int(np.searchsorted(-v, -threshold, side="left")) for v in values]
        places = [
            max(int(np.searchsorted(row, count, side="right")) - 1, 0)
            for row, count in zip(allowed, counts, strict=True)
        ]
        return np.array([row[place] for row, place in zip(allowed, places, strict=True)], dtype=np.int64)

    def _refilled(self, ranked: Sequence[Floats], widths: Ints) -> Ints:
        """Takes the next width of the class that gains most importance per cost, while one fits."""
        now = self.totals(widths)[0]
        while True:
            rows, trials = self.wider(widths)
            if not len(rows):
                return widths
            totals = self.totals(trials)
            fits = within(totals, self.limits, self.law.columns)
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

    def wider(self, widths: Ints) -> tuple[list[int], Ints]:
        """Every group that isn't at its widest, each with its next width."""
        rows = [row for row, allowed in enumerate(self._allowed) if widths[row] < allowed[-1]]
        trials = np.repeat(widths[None], len(rows), axis=0)
        for trial, row in enumerate(rows):
            allowed = self._allowed[row]
            trials[trial, row] = allowed[np.searchsorted(allowed, widths[row], side="right")]
        return rows, trials

    def narrower(self, widths: Ints) -> tuple[list[int], Ints]:
        """Every group that isn't at its narrowest, each with its next smaller width."""
        rows = [row for row, allowed in enumerate(self._allowed) if widths[row] > allowed[0]]
        trials = np.repeat(widths[None], len(rows), axis=0)
        for trial, row in enumerate(rows):
            allowed = self._allowed[row]
            trials[trial, row] = allowed[np.searchsorted(allowed, widths[row], side="left") - 1]
        return rows, trials

    def kept_importance(self, ranked: Sequence[Floats], widths: Ints) -> float:
        """Sum of the kept channels' importances.

        Args:
            ranked: For each group (size,), descending.
            widths: Of each group.
        """
        pairs = zip(ranked, widths, self.free, strict=True)
        return sum(float(u[:width].sum()) * len(group.classes) for u, width, group in pairs)

    def _prices(self, widths: Ints, price: Price) -> Floats:
        """p^alpha of each group at these widths."""
        nearby = np.maximum(widths, 2)  # below a width of 2 a difference of one channel would leave none
        base = self.totals(nearby)
        trials = nearby[None] - np.eye(len(nearby), dtype=np.int64)
        per_channel = (base - self.totals(trials))[:, self._columns] / self._caps
        floor = np.maximum(_FREE * per_channel.max(axis=0), 1e-300)
        priced = np.log(np.maximum(per_channel, floor)) @ np.array(price.weights)
        return np.exp(price.alpha * (priced - priced.mean()))

    def _refuse_unreachable(self) -> None:
        floor = self.totals(np.array([allowed[0] for allowed in self._allowed]))[0]
        dense, columns = self.law.totals(self.law.dense)[0], self.law.columns
        over = [columns.index(name) for name, limit in self.limits.items() if floor[columns.index(name)] > limit]
        if not over:
            return
        words = "; ".join(
            f"`{columns[one]}` can't go below {floor[one]:,} ({floor[one] / dense[one]:.4g} of the given network's), "
            f"but {self.limits[columns[one]]:,} was requested"
            for one in over
        )
        least = {
            group.classes[0]: (int(row[0]), group.size) for group, row in zip(self.free, self._allowed, strict=True)
        }
        wide = sorted(least.items(), key=lambda item: -item[1][0])[:3]
        held = ", ".join(f"`{name}` at {width} of {size}" for name, (width, size) in wide)
        held += "".join(
            f"; `{self.free[row].classes[0]}` stays whole, since nothing was measured of it"
            for row in sorted(self._held)[:3]
        )
        raise BudgetError(
            f"The budget can't be reached: {words}. The smallest widths are {held}. "
            "Lower `align`, or give a larger budget."
        )
