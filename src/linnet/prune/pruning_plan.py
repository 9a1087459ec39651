"""Plan: the channels that stay, as plain data; made in one shot, applied to a copy."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

import numpy as np
from torch import nn
from torch.nn.functional import cross_entropy

from linnet.arrays import Floats
from linnet.core import ChannelGraph, Cost, resize
from linnet.core.channels.width_cost import TOTALS, WidthCost
from linnet.core.program.both_modes import unreached_notes, warn_unreached
from linnet.core.program.example import example_from_dict
from linnet.engine.compute.timing import Latency
from linnet.errors import BudgetError, InputError
from linnet.prune.allocate.groups import PrunableGroups, prunable_groups
from linnet.prune.allocate.per_layer import Select, same_rate
from linnet.prune.allocate.ranks import LayerRanks, Shape, shaped
from linnet.prune.allocate.widths import Price, Selection, Selector
from linnet.prune.budget import Budget
from linnet.prune.importance.criterion import FROM_DATA, Criterion, Loss, from_data
from linnet.prune.importance.from_weights import Normalise, importances_from_weights
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
        notes: What the recording didn't reach, so that no proof speaks of it.
        options: How the channel graph was built: what the caller froze, and how groups are edited.
        graph: The channel graph itself, where the plan was made in this process.
    """

    budget: Budget
    kept: Mapping[str, tuple[int, ...]]
    dense: Mapping[str, int]
    frozen: Mapping[str, str]
    before: Mapping[str, int]
    after: Mapping[str, int]
    example: Mapping[str, Any]
    latency: Latency | None = None
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    graph: ChannelGraph | None = field(default=None, compare=False, repr=False)

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
        stored = asdict(replace(self, graph=None))
        return json.dumps({key: item for key, item in stored.items() if key != "graph"}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote.

        Raises:
            BudgetError: the text isn't a plan.
        """
        try:
            stored = json.loads(text)
            kept = {name: tuple(int(channel) for channel in row) for name, row in stored["kept"].items()}
            rest: dict[str, Any] = {key: dict(stored[key]) for key in ("dense", "frozen", "before", "after", "example")}
            latency = Latency(**stored["latency"]) if stored.get("latency") else None
            options, notes = dict(stored.get("options", {})), tuple(stored.get("notes", ()))
            return cls(Budget(**stored["budget"]), kept, **rest, latency=latency, notes=notes, options=options)
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
        lines += [f"  {note}" for note in self.notes]
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
    frozen: Iterable[str | tuple[str, int]] = (),
    graph: ChannelGraph | None = None,
    shape: Shape = "utility",
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
        frozen: What must not be edited: module paths, or (tensor name, axis).
        graph: The network's channel graph, where there is one already; it says what is frozen.
        shape: What decides widths: "utility", the importances (`select` says how); "rank", the ranks of the layers, so
            that no layer is a bottleneck; or "uniform", one share of all classes. The last two give good networks to
            train from scratch, too. Not with `latency_ms`.

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
    one_of("shape", shape, get_args(Shape))
    if shape != "utility" and budget.latency_ms is not None:
        raise InputError(f"`shape` must be 'utility' with `latency_ms` (got {shape!r}), which is met by measuring.")
    graph = graph_for(model, example, graph=graph, frozen=frozen)
    inner = graph.check(model)
    unmasked = maskable_reads(inner, graph)[1] if criterion in FROM_DATA else {}  # no gate can measure them
    found = prunable_groups(graph, align=align, min_fraction=min_fraction, keep=keep, limits=limits, whole=unmasked)
    law = WidthCost(graph)
    selector = Selector(law, found.free, budget.limits(totals_of(law)))
    latency_model = LatencyModel.of(inner, graph, found.free, budget, align=align)
    names = tuple(name for group in found.free for name in group.classes)
    if criterion in FROM_DATA:
        importances = from_data(inner, graph, names, criterion, data, loss=loss, normalise=normalise)
    else:
        importances = importances_from_weights(inner, graph, names, criterion, rng_seed=rng_seed, normalise=normalise)
    if criterion in FROM_DATA:
        found = held(found, unmeasured(found, importances))
        selector = Selector(law, found.free, selector.limits)
    ranked = ranks(found, importances)
    if latency_model is None:
        if shape == "utility":
            selected = same_rate(selector, ranked) if select == "per_layer" else selector.select(ranked)
        else:
            selected = shaped(selector, LayerRanks.of(graph, found.free), ranked, shape)
        return planned(graph, budget, found, kept_channels(found, selected, importances))
    selected, latency = on_time(latency_model, inner, found, selector.limits, importances, select=select)
    return replace(planned(graph, budget, found, kept_channels(found, selected, importances)), latency=latency)


def on_time(
    latency_model: LatencyModel,
    model: nn.Module,
    found: PrunableGroups,
    limits: Mapping[str, int],
    importances: Mapping[str, Floats],
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
        importances: Class name -> (size,).
        select: "global" or "per_layer".
        price: None looks for one, once.

    Raises:
        BudgetError: the target can't be reached.
    """
    ranked = ranks(found, importances)
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
        kept = kept_channels(found, selection, importances)
        return {
            name: np.bincount(channels, minlength=len(importances[name])).tolist() for name, channels in kept.items()
        }

    return meet(latency_model, model, selected, edit, ranked=ranked, limits=limits)


def ranks(found: PrunableGroups, importances: Mapping[str, Floats]) -> list[Floats]:
    """For each prunable group (size,): importances, descending; the mean over classes that are cut together."""
    return [np.mean([np.sort(importances[name])[::-1] for name in group.classes], axis=0) for group in found.free]


UNMEASURED = "no gradient reaches it (no_grad, detached or not used), so its channels' importance isn't known"


def unmeasured(found: PrunableGroups, importances: Mapping[str, Floats]) -> frozenset[str]:
    """Classes of groups in which the importance of every channel of a class is 0: nothing was measured."""
    return frozenset(
        name
        for group in found.free
        if not all(np.any(importances[one] > 0) for one in group.classes)
        for name in group.classes
    )


def held(found: PrunableGroups, names: Collection[str]) -> PrunableGroups:
    """The groups, where those of some classes keep their width."""
    free = [replace(g, widths=g.widths[-1:]) if set(g.classes) & set(names) else g for g in found.free]
    return PrunableGroups(tuple(free), {**found.frozen, **dict.fromkeys(sorted(names), UNMEASURED)})


def graph_for(
    model: nn.Module, example: Any, *, graph: ChannelGraph | None, frozen: Iterable[str | tuple[str, int]]
) -> ChannelGraph:
    """The given channel graph, or that of the network, in which whole groups of a GroupNorm may go.

    Raises:
        InputError: both a graph and what is frozen are given, or the graph is none.
    """
    if graph is None:
        graph = ChannelGraph(model, example, frozen=frozen, norms="groups")
        warn_unreached(graph.program, stacklevel=4)
        return graph
    if not isinstance(graph, ChannelGraph):
        raise InputError(f"`graph` must be a ChannelGraph (got a {type(graph).__name__}).")
    if list(frozen):
        raise InputError(
            "`frozen` must be left out beside `graph`: give it to ChannelGraph(model, example, frozen=...)."
        )
    return graph


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
    options = {"frozen": [list(one) if isinstance(one, tuple) else one for one in graph.frozen]}
    options |= {"grouped": graph.grouped, "norms": graph.norms}
    notes, before = tuple(unreached_notes(graph.program)), _by_name(graph.cost())
    unsized = Plan(
        budget, kept, dense, found.frozen, before, {}, graph.example, notes=notes, options=options, graph=graph
    )
    return replace(unsized, after=_by_name(graph.cost(unsized.multiplicity())))


def kept_channels(
    found: PrunableGroups, selection: Selection, importances: Mapping[str, Floats]
) -> dict[str, tuple[int, ...]]:
    """Class name -> its most important channels at the selected width, the first of equal ones."""
    return {
        name: tuple(sorted(np.argsort(-importances[name], kind="stable")[:width].tolist()))
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
    options = {"grouped": "within", "norms": "together", **plan.options}
    options["frozen"] = [one if isinstance(one, str) else tuple(one) for one in options.get("frozen", ())]
    graph = plan.graph
    if graph is None or not graph.fits(model):
        graph = ChannelGraph(model, example_from_dict(plan.example), **options)
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
