"""Chooser: which channels a budget leaves, again and again while their utilities change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from linnet.core import ChannelGraph
from linnet.core.atoms import Ints
from linnet.core.width_cost import TOTALS, WidthCost
from linnet.prune.budget import Budget
from linnet.prune.choice import Choices
from linnet.prune.plan import kept_channels, ranks, totals_of
from linnet.prune.same_rate import same_rate
from linnet.prune.select import Price, Selection, Selector
from linnet.prune.utility import Floats


class Chooser:
    """Selects under a budget; the price of several limits is looked for at the first selection and where asked.

    Args:
        graph: The given network's graph.
        budget: What the result may cost.
        found: What may be pruned.
        price: "none" or "auto".
        select: "global" or "per_layer".

    Attributes:
        limits: Name of the cost -> most of it.
        selection: The last one, or None.

    Raises:
        BudgetError: the budget can't be reached.
    """

    def __init__(self, graph: ChannelGraph, budget: Budget, found: Choices, *, price: str, select: str):
        law = WidthCost(graph)
        self.found, self.rule, self.limits = found, select, budget.limits(totals_of(law))
        self.selector = Selector(law, found.free, self.limits)
        self.selection: Selection | None = None
        self._auto = price == "auto" and len(self.limits) > 1
        self._price = Price(0.0, tuple([1 / len(self.limits)] * len(self.limits)))

    def choose(self, utilities: Mapping[str, Floats], *, anew: bool = False) -> dict[str, tuple[int, ...]]:
        """What stays by these utilities; the selection is kept.

        Args:
            utilities: Class name -> (size,).
            anew: Look for the price anew.

        Returns:
            Class name -> channels.
        """
        self.selection = self._select(utilities, anew=anew)
        self._price = self.selection.price
        return kept_channels(self.found, self.selection, utilities)

    def trial(self, utilities: Mapping[str, Floats]) -> dict[str, tuple[int, ...]]:
        """What would stay; nothing is kept."""
        return kept_channels(self.found, self._select(utilities, anew=False), utilities)

    def narrow(self, widths: Ints) -> None:
        """No choice may be wider any more than this, (choices,)."""
        self.selector.narrow(widths)

    @property
    def used(self) -> dict[str, float]:
        """Name of each limit -> share of it that the selection costs (the given network before the first one)."""
        dense = [choice.size for choice in self.found.free]
        totals = self.selector.totals(np.array(self.selection.widths if self.selection else dense))[0]
        return {name: int(totals[TOTALS.index(name)]) / limit for name, limit in self.limits.items()}

    def state_dict(self) -> dict[str, Any]:
        """Widths and price."""
        widths = [] if self.selection is None else list(self.selection.widths)
        return {"widths": widths, "price": [self._price.alpha, *self._price.weights]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        alpha, *weights = (float(x) for x in state["price"])
        widths = tuple(int(width) for width in state["widths"])
        self._price = Price(alpha, tuple(weights))
        self.selection = Selection(widths, self._price, 0.0) if widths else None

    def __str__(self) -> str:
        widths = [(choice.classes, choice.widths) for choice in self.found.free]
        return f"{self.limits}, price {'auto' if self._auto else 'none'}, {self.rule}, {widths}"

    def _select(self, utilities: Mapping[str, Floats], *, anew: bool) -> Selection:
        ranked = ranks(self.found, utilities)
        if self.rule == "per_layer":
            return same_rate(self.selector, ranked)
        search = self._auto and (self.selection is None or anew)
        return self.selector.select(ranked, "auto" if search else self._price)
