"""The channels that a budget keeps, selected again whenever their importance changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any

import numpy as np
from torch import nn

from linnet.arrays import Floats, Ints
from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from linnet.core.distributed import numbers_of_first
from linnet.engine.compute.timing import Latency
from linnet.errors import InputError
from linnet.prune.allocate.groups import PrunableGroups
from linnet.prune.allocate.per_layer import Select, same_rate
from linnet.prune.allocate.ranks import LayerRanks, Shape, by_rank
from linnet.prune.allocate.widths import Price, Selection, Selector
from linnet.prune.budget import Budget
from linnet.prune.latency.target import LatencyModel
from linnet.prune.pruning_plan import kept_channels, on_time, ranks, totals_of, unmeasured

_SHOWN = {"latency_ns": "latency_ms"}  # a share has no unit, so it goes by the budget's name


class RunningSelection:
    """Selects under a budget; looks for the price of several limits at the first selection and on request.

    Args:
        graph: The given network's graph.
        budget: What the result may cost.
        found: What may be pruned.
        price: "none" or "auto".
        select: "global" or "per_layer".
        shape: What decides widths; without a latency.
        latency_model: Predicts and measures the latency, where the budget has one.

    Attributes:
        limits: Name of the cost -> most of it.
        unmeasured: Classes that stay whole, since nothing was measured of them.
        selection: The last one, or None.
        latency: The measured latency, once it was measured.

    Raises:
        BudgetError: the budget can't be reached.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        budget: Budget,
        found: PrunableGroups,
        *,
        price: str,
        select: Select,
        shape: Shape = "utility",
        latency_model: LatencyModel | None = None,
    ):
        law = WidthCost(graph)
        self.rule: Select = "per_layer" if shape == "uniform" else select
        self._ranks = LayerRanks.of(graph, found.free) if shape == "rank" and latency_model is None else None
        self._by_rank: dict[tuple[int, ...], Selection] = {}  # by limits and allowed widths
        self.found, self.latency_model = found, latency_model
        self.limits = budget.limits(totals_of(law)) | (
            {} if latency_model is None else {"latency_ns": latency_model.limit_ns()}
        )
        self.selector = Selector(law if latency_model is None else latency_model.cost, found.free, self.limits)
        self.unmeasured: frozenset[str] = frozenset()
        self.selection: Selection | None = None
        self.latency: Latency | None = None
        self._auto = price == "auto" and len(self.limits) > 1
        self._price = Price(0.0, tuple([1 / len(self.limits)] * len(self.limits)))

    def choose(self, importances: Mapping[str, Floats], *, anew: bool = False) -> dict[str, tuple[int, ...]]:
        """The channels that stay by these importances; the selection is kept.

        Args:
            importances: Class name -> (size,).
            anew: Look for the price anew.

        Returns:
            Class name -> channels.
        """
        self.selection = self._select(importances, anew=anew)
        self._price = self.selection.price
        return kept_channels(self.found, self.selection, importances)

    def hold_unmeasured(self, importances: Mapping[str, Floats]) -> None:
        """Groups of which nothing was measured stay whole: that doesn't make them worthless.

        Raises:
            BudgetError: the budget can't be reached so.
        """
        self.unmeasured = unmeasured(self.found, importances)
        rows = enumerate(self.found.free)
        self.selector.hold(row for row, group in rows if not self.unmeasured.isdisjoint(group.classes))

    def agree_on_limit(self) -> None:
        """Takes rank 0's limit of a measured latency: what other processes measured differs a little."""
        if self.latency_model is not None:
            self._limit_latency(numbers_of_first([self.limits["latency_ns"]])[0])

    def on_time(self, model: nn.Module, importances: Mapping[str, Floats]) -> dict[str, tuple[int, ...]]:
        """The channels that stay so that the measured latency meets its target; the selection is kept.

        Args:
            model: The network, without masks.
            importances: Class name -> (size,).

        Returns:
            Class name -> channels.

        Raises:
            BudgetError: the target can't be reached.
        """
        assert self.latency_model is not None
        counted = {name: limit for name, limit in self.limits.items() if name != "latency_ns"}
        price = self._price if self.selection is not None else None
        held = [replace(g, widths=a) for g, a in zip(self.found.free, self.selector.allowed, strict=True)]
        found = replace(self.found, free=tuple(held))
        selection, self.latency = on_time(
            self.latency_model, model, found, counted, importances, select=self.rule, price=price
        )
        widths = tuple(numbers_of_first(selection.widths))
        self.selection = replace(selection, widths=widths)
        self._limit_latency(max(self.limits["latency_ns"], self.latency_model.predicted_ns(widths)))
        return kept_channels(self.found, self.selection, importances)

    def measure(self, small: nn.Module) -> None:
        """Measures the latency of the final small network anew."""
        if self.latency_model is not None and self.latency is not None:
            self.latency = self.latency_model.again(small, self.latency)

    def trial(self, importances: Mapping[str, Floats]) -> dict[str, tuple[int, ...]]:
        """The channels that would stay; nothing is kept."""
        return kept_channels(self.found, self._select(importances, anew=False), importances)

    def narrow(self, widths: Ints) -> None:
        """From now on no group may be wider than this, (groups,)."""
        self.selector.narrow(widths)

    @property
    def used(self) -> dict[str, float]:
        """Name of each limit -> share of it that the selection costs (the given network before the first one)."""
        dense = [group.size for group in self.found.free]
        totals = self.selector.totals(np.array(self.selection.widths if self.selection else dense))[0]
        columns = self.selector.law.columns
        return {_SHOWN.get(n, n): int(totals[columns.index(n)]) / limit for n, limit in self.limits.items()}

    def state_dict(self) -> dict[str, Any]:
        """Widths and price."""
        widths = [] if self.selection is None else list(self.selection.widths)
        latency = [] if self.latency is None else list(astuple(self.latency))
        limit = self.limits.get("latency_ns", 0)
        return {"widths": widths, "price": [self._price.alpha, *self._price.weights], "ns": limit, "latency": latency}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        alpha, *weights = (float(x) for x in state["price"])
        widths = tuple(int(width) for width in state["widths"])
        self._price = Price(alpha, tuple(weights))
        self.selection = Selection(widths, self._price, 0.0) if widths else None
        self.latency = Latency(*state["latency"]) if state["latency"] else None
        if self.latency_model is not None:
            self._limit_latency(int(state["ns"]))

    def _limit_latency(self, limit_ns: int) -> None:
        self.limits["latency_ns"] = limit_ns
        self.selector.limit(self.limits)

    def __str__(self) -> str:
        widths = [(group.classes, group.widths) for group in self.found.free]
        return f"{self.limits}, price {'auto' if self._auto else 'none'}, {self.rule}, {widths}"

    def _select(self, importances: Mapping[str, Floats], *, anew: bool) -> Selection:
        ranked = ranks(self.found, importances)
        if self.rule == "per_layer":
            return same_rate(self.selector, ranked)
        if self._ranks is not None:
            ends = [int(width) for allowed in self.selector.allowed for width in (allowed[0], allowed[-1])]
            key = (*self.selector.limits.values(), *ends)
            if key not in self._by_rank:
                self._by_rank[key] = by_rank(self.selector, self._ranks, ranked)
            return self._by_rank[key]
        search = self._auto and (self.selection is None or anew)
        return self.selector.select(ranked, "auto" if search else self._price)


def resolved(shape: str, budget: Budget, *, price: str, select: str) -> Shape:
    """What `Pruner(shape=...)` means for a budget.

    Raises:
        InputError: widths are to be chosen in two ways, or by a shape under a latency.
    """
    limits = budget.macs, budget.params, budget.bytes, budget.peak_activation_bytes
    if shape == "auto":
        several = sum(limit is not None for limit in limits) > 1 and budget.latency_ms is None
        return "rank" if several and (price, select) == ("auto", "global") else "utility"
    if shape != "utility" and budget.latency_ms is not None:
        raise InputError(f"`shape` must be 'utility' with `latency_ms` (got {shape!r}), which is met by measuring.")
    if shape == "rank" and select != "global":
        raise InputError(f"`select` must be 'global' with shape='rank' (got {select!r}).")
    return shape  # type: ignore[return-value]  one of them, as was checked
