"""Plan: the channels that stay, as plain data; made in one shot, applied to a copy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from torch import nn
from torch.nn.functional import cross_entropy

from linnet.arrays import Floats
from linnet.core import ChannelGraph, Cost, resize
from linnet.core.channels.width_cost import TOTALS, WidthCost
from linnet.core.program.example import example_from_dict
from linnet.engine.compute.timing import Latency
from linnet.errors import BudgetError, InputError
from linnet.prune.allocate.groups import PrunableGroups, prunable_groups
from linnet.prune.allocate.per_layer import Select, same_rate
from linnet.prune.allocate.widths import Price, Selection, Selector
from linnet.prune.budget import Budget
from linnet.prune.importance.criterion import FROM_DATA, Criterion, Loss, from_data
from linnet.prune.importance.from_weights import Normalise, utilities_from_weights
from linnet.prune.latency.target import LatencyModel, meet
from linnet.prune.masks.reads import maskable_reads
from linnet.suggest import one_of


@dataclass(frozen=True)
class Plan:
    """The channels that a pruned network keeps; print it for a dry run.

    Attributes:
        budget: The requested budget.
        kept: Class name -> channels that stay, in the given network's numbering, for the classes that may be pruned.
        dense: Class name -> channels of the given network, for all classes.
        frozen: Class name -> why it stays whole.
        before: Cost of the given network by name.
        after: Cost of the pruned one: equal to `linnet.cost` of it.
        example: Sizes and types of the example that the network was traced on, as plain data.
        latency: The measured latency, where the budget has `latency_ms`.
    """

    budget: Budget
    kept: Mapping[str, tuple[int, ...]]
    dense: Mapping[str, int]
    frozen: Mapping[str, str]
    before: Mapping[str, int]
    after: Mapping[str, int]
    example: Mapping[str, Any]
    latency: Latency | None = None

    @property
    def cost(self) -> Cost:
        """The cost of one sample in the pruned network: equal to `linnet.cost` of it."""
        macs, params, size, peak = (self.after[name] for name in TOTALS)
        return Cost(params=params, macs=macs, bytes=size, peak_activation_bytes=peak)

    def multiplicity(self) -> dict[str, list[int]]:
        """The edit that `linnet.resize` makes: 1 for what stays, 0 for what goes."""
        found = {}
        for name, kept in self.kept.items():
            if len(kept) < self.dense[name]:
                found[name] = np.bincount(np.array(kept), minlength=self.dense[name]).tolist()
        return found

    def to_json(self) -> str:
        """The plan as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote.

        Raises:
            BudgetError: the text isn't a plan.
        """
        try:
            stored = json.loads(text)
            kept = {name: tuple(int(channel) for channel in row) for name, row in stored["kept"].items()}
            rest = {key: dict(stored[key]) for key in ("dense", "frozen", "before", "after", "example")}
            latency = Latency(**stored["latency"]) if stored.get("latency") else None
            return cls(Budget(**stored["budget"]), kept, **rest, latency=latency)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BudgetError(f"`text` must be what `Plan.to_json` wrote (reading it failed: {error!r}).") from error

    def __str__(self) -> str:
        width = max(len(name) for name in self.dense)
        lines = [f"budget: {self.budget}"]
        for name, dense in self.dense.items():
            kept = len(self.kept[name]) if name in self.kept else dense
            why = f"  whole: {self.frozen[name]}" if name in self.frozen else ""
            lines.append(f"  {name:<{width}}  {kept:>6} of {dense:<6}{why}".rstrip())
        for name in TOTALS:
            before, after = self.before[name], self.after[name]
            lines.append(f"  {name}: {before:,} -> {after:,} ({after / before:.4g} kept)" if before else f"  {name}: 0")
        if self.latency is not None:
            lines.append(f"  {self.latency}")
        return "\n".join(lines)


def plan(
    model: nn.Module,
    example: Any,
    budget: Budget,
    *,
    criterion: Criterion = "l1",
    data: Iterable[Any] | None = None,
    loss: Loss = cross_entropy,
    select: Select = "global",
    normalise: Normalise = "mean",
    align: int = 8,
    min_fraction: float = 0.05,
    keep: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    rng_seed: int = 0,
) -> Plan:
    """What a network would keep under a budget, by its weights or by a few batches: no training, nothing is changed.

    Args:
        model: Any module.
        example: A tensor, a tuple of arguments or a dict of keyword arguments.
        budget: What the result may cost.
        criterion: "l1", "bn_scale" or "random" by the weights alone; "taylor" or "bn_taylor" by `data`.
        data: Batches (inputs, targets), on the network's device; measured in eval mode.
        loss: Of (outputs, targets), a scalar, for `data`.
        select: "global" lets channels of all classes compete, "per_layer" keeps one share of every class.
        normalise: What the importances of a class are divided by before classes compete: its "max" or its "mean".
        align: Kept channels come in multiples of this; 8 suits the kernels of common runtimes.
        min_fraction: At least this share of every class stays.
        keep: Patterns of module paths that stay whole: `head`, `layer1.*`.
        limits: Pattern -> largest share of its classes' channels that may stay.
        rng_seed: For criterion "random".

    Returns:
        The plan.

    Raises:
        BudgetError: the budget can't be reached, or there is nothing to prune.
        GraphError: the network can't be traced.
        InputError: an option is unknown, `data` is missing or not in pairs, or a weight, loss or gradient isn't finite.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 4, 3))
        >>> small = extract(net, plan(net, torch.zeros(1, 3, 8, 8), Budget(macs=0.5)))
        >>> small[0]
        Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1))
    """
    one_of("criterion", criterion, get_args(Criterion))
    one_of("select", select, get_args(Select))
    one_of("normalise", normalise, get_args(Normalise))
    graph = ChannelGraph(model, example)
    inner = graph.check(model)
    unmasked = maskable_reads(inner, graph)[1] if criterion in FROM_DATA else {}  # no gate can measure them
    found = prunable_groups(graph, align=align, min_fraction=min_fraction, keep=keep, limits=limits, whole=unmasked)
    law = WidthCost(graph)
    selector = Selector(law, found.free, budget.limits(totals_of(law)))
    latency_model = LatencyModel.of(inner, graph, found.free, budget, align=align)
    names = tuple(name for group in found.free for name in group.classes)
    if criterion in FROM_DATA:
        utilities = from_data(inner, graph, names, criterion, data, loss=loss, normalise=normalise)
    else:
        utilities = utilities_from_weights(inner, graph, names, criterion, rng_seed=rng_seed, normalise=normalise)
    ranked = ranks(found, utilities)
    if latency_model is None:
        selected = same_rate(selector, ranked) if select == "per_layer" else selector.select(ranked)
        return planned(graph, budget, found, kept_channels(found, selected, utilities))
    selected, latency = on_time(latency_model, inner, found, selector.limits, utilities, select=select)
    return replace(planned(graph, budget, found, kept_channels(found, selected, utilities)), latency=latency)


def on_time(
    latency_model: LatencyModel,
    model: nn.Module,
    found: PrunableGroups,
    limits: Mapping[str, int],
    utilities: Mapping[str, Floats],
    *,
    select: Select = "global",
    price: Price | None = None,
) -> tuple[Selection, Latency]:
    """The selection that keeps the counted limits and a measured latency.

    Args:
        latency_model: The latency model of the network and the target.
        model: The network, without masks.
        found: What may be pruned.
        limits: The counted limits.
        utilities: Class name -> (size,).
        select: "global" or "per_layer".
        price: None looks for one, once.

    Raises:
        BudgetError: the target can't be reached.
    """
    ranked = ranks(found, utilities)
    chosen: list[Price] = [] if price is None else [price]

    def selected(limit_ns: int | None) -> Selection:
        timed = {} if limit_ns is None else {"latency_ns": limit_ns}
        selector = Selector(
            latency_model.cost, found.free, {**limits, **timed} or {"latency_ns": latency_model.whole_ns}
        )
        if select == "per_layer":
            return same_rate(selector, ranked)
        made = selector.select(ranked, chosen[0] if chosen and timed else "auto")
        if timed:
            chosen[:] = [made.price]
        return made

    def edit(selection: Selection) -> dict[str, list[int]]:
        kept = kept_channels(found, selection, utilities)
        return {name: np.bincount(channels, minlength=len(utilities[name])).tolist() for name, channels in kept.items()}

    return meet(latency_model, model, selected, edit, ranked=ranked, limits=limits)


def ranks(found: PrunableGroups, utilities: Mapping[str, Floats]) -> list[Floats]:
    """For each prunable group (size,): importances, descending; the mean over classes that are cut together."""
    return [np.mean([np.sort(utilities[name])[::-1] for name in group.classes], axis=0) for group in found.free]


def totals_of(law: WidthCost) -> dict[str, int]:
    """The given network's cost by name."""
    return dict(zip(TOTALS, law.totals(law.dense)[0].tolist(), strict=True))


def planned(graph: ChannelGraph, budget: Budget, found: PrunableGroups, kept: Mapping[str, tuple[int, ...]]) -> Plan:
    """The plan that keeps these channels.

    Args:
        graph: The given network's graph.
        budget: The requested budget.
        found: What may be pruned.
        kept: Class name -> channels, for the classes that may be pruned.
    """
    dense = {name: known.size for name, known in graph.classes.items()}
    unsized = Plan(budget, kept, dense, found.frozen, _by_name(graph.cost()), {}, graph.example)
    return replace(unsized, after=_by_name(graph.cost(unsized.multiplicity())))


def kept_channels(
    found: PrunableGroups, selection: Selection, utilities: Mapping[str, Floats]
) -> dict[str, tuple[int, ...]]:
    """Class name -> its most important channels at the selected width, the first of equal ones."""
    return {
        name: tuple(sorted(np.argsort(-utilities[name], kind="stable")[:width].tolist()))
        for group, width in zip(found.free, selection.widths, strict=True)
        for name in group.classes
    }


def _by_name(cost: Cost) -> dict[str, int]:
    return {name: getattr(cost, name) for name in TOTALS}


def extract(model: nn.Module, plan: Plan) -> Any:
    """A compact copy of a network: the channels that a plan keeps, proved to be the masked network.

    Args:
        model: A network of the plan's structure; only read.
        plan: What stays.

    Returns:
        A plain module of the same class; `linnet.cost` of it is `plan.after`.

    Raises:
        BudgetError: the plan is of another network.
        ProofError: the copy isn't the masked network.
    """
    return resize(model, graph_of(model, plan), plan.multiplicity())


def graph_of(model: nn.Module, plan: Plan) -> ChannelGraph:
    """The channel graph that a plan refers to, built from a network of its structure.

    Raises:
        BudgetError: the plan is of another network, or damaged.
        InputError: it isn't a plan.
    """
    if not isinstance(plan, Plan):
        raise InputError(
            f"`plan` must be a Plan (got a {type(plan).__name__}). Plan.from_json(text) reads a stored one."
        )
    graph = ChannelGraph(model, example_from_dict(plan.example))
    own = {name: known.size for name, known in graph.classes.items()}
    if own != dict(plan.dense):
        name = next(name for name in [*own, *plan.dense] if own.get(name) != plan.dense.get(name))
        raise BudgetError(
            f"The plan is of another network: `{name}` has {own.get(name, 'no')} channels in this "
            f"{type(model).__name__}, but {plan.dense.get(name, 'none')} in the plan. Make one for this: "
            "linnet.prune.plan(model, example, budget)."
        )
    for name, kept in plan.kept.items():
        if name not in own:
            raise BudgetError(f"The plan is damaged: this network has no class `{name}`. Make it again.")
        if not kept or list(kept) != sorted(set(kept)) or not 0 <= kept[0] <= kept[-1] < own[name]:
            raise BudgetError(
                f"The plan is damaged: the channels of `{name}` must be numbers from 0 to {own[name] - 1} in "
                f"increasing order, at least one (got {str(list(kept))[:80]}). Make it again."
            )
    return graph
