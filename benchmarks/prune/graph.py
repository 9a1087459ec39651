"""How long it takes to know what may be pruned, to choose and to slice, for ResNet-50, beside torch-pruning."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import networks
from benchmarks.goal import bounded, missing, time_ratio
from benchmarks.sidebyside import Side, unchecked
from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from linnet.core.edit.edit_plan import plan as edit_plan
from linnet.core.edit.resizing import apply
from linnet.engine.compute.timing import timed
from linnet.prune import Budget, plan
from linnet.prune.allocate.groups import prunable_groups
from linnet.prune.allocate.widths import Selector
from linnet.prune.pruning_plan import totals_of
from linnet.results import Record

BUDGET = Budget(macs=0.5)
_RECORDED = "half of it is recording the network operator by operator in Python"


def records(*, quick: bool) -> list[Record]:
    """Graph and plan, one selection, the slice."""
    x = torch.zeros(1, 3, 64 if quick else 224, 64 if quick else 224)
    model = networks.resnet50().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's own
        peers = _beside_peer(model, x, pairs=3 if quick else 9)
    return [*peers, _selection(model, x)]


def _beside_peer(model: nn.Module, x: Tensor, *, pairs: int) -> list[Record]:
    size = f"{x.shape[2]} x {x.shape[3]}"
    plan_words = f"graph and plan of ResNet-50, {size}, beside torch-pruning's graph alone"
    slice_words = "slice ResNet-50 to the plan, proof apart, beside torch-pruning in place, its graph ready"
    try:
        import torch_pruning
    except ImportError as error:
        return [
            missing("prune.graph.plan", plan_words, goal=0.3, beside="torch-pruning", reason=str(error)),
            missing("prune.graph.slice", slice_words, goal=0.5, beside="torch-pruning", reason=str(error)),
        ]
    sides = (
        Side("linnet", lambda: plan(model, x, BUDGET), unchecked),
        Side(
            "torch-pruning",
            lambda: torch_pruning.DependencyGraph().build_dependency(model, example_inputs=x),
            unchecked,
        ),
    )
    reason = "the plan ranks 26 million weights and counts the cost of two networks; the peer's graph does neither"
    found = [time_ratio("prune.graph.plan", plan_words, *sides, goal=0.3, pairs=pairs, reason=reason)]
    whole = Side("torch-pruning", lambda: _peer_plan(model, x), unchecked)
    words = f"graph and plan of ResNet-50, {size}, beside torch-pruning's own plan: graph, groups, L1 of all channels"
    found.append(
        time_ratio("prune.graph.whole_plan", words, sides[0], whole, goal=0.3, pairs=min(pairs, 5), reason=_RECORDED)
    )
    return [*found, _slice(model, x, slice_words, pairs=pairs)]


def _peer_plan(model: nn.Module, x: Tensor) -> int:
    """What the peer does before it cuts, by its documented calls: channels of every group, chosen over all layers."""
    import torch_pruning

    pruner = torch_pruning.pruner.BasePruner(
        model, x, importance=torch_pruning.importance.MagnitudeImportance(p=1), global_pruning=True, round_to=8,
        pruning_ratio=0.3, ignored_layers=[module for module in model.modules() if isinstance(module, nn.Linear)],
    )  # fmt: skip
    return len(list(pruner.step(interactive=True)))  # type: ignore[arg-type]


def _slice(model: nn.Module, x: Tensor, words: str, *, pairs: int) -> Record:
    graph = ChannelGraph(model, x)
    edit = plan(model, x, BUDGET).multiplicity()
    prepared = [_peer(model, graph, edit, x) for _ in range(pairs + 1)]  # the peer's graph goes with its module

    def theirs() -> int:
        network, groups = prepared.pop()
        for group in groups():
            group.prune()
        return _count(network)

    sides = (
        Side("linnet", lambda: _count(apply(model, edit_plan(model, graph, edit))), lambda count: count),
        Side("torch-pruning", theirs, lambda count: count),
    )
    reason = "the plan of the edit walks every axis in Python, and the kept weights are copied; the peer cuts in place"
    return time_ratio("prune.graph.slice", words, *sides, goal=0.5, pairs=pairs, reason=reason)


def _count(network: Any) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _peer(model: nn.Module, graph: ChannelGraph, edit: Mapping[str, Any], x: Tensor) -> tuple[nn.Module, Any]:
    """A copy of the network, and what gives the peer's groups for the same channels."""
    import torch_pruning

    network = copy.deepcopy(model)
    built = torch_pruning.DependencyGraph().build_dependency(network, example_inputs=x)

    def groups() -> Any:
        for name, numbers in edit.items():
            gone = np.flatnonzero(np.array(numbers) == 0).tolist()
            yield built.get_pruning_group(_root(network, graph, name), torch_pruning.prune_conv_out_channels, gone)

    return network, groups


def _root(network: nn.Module, graph: ChannelGraph, name: str) -> nn.Module:
    """The first convolution that makes a class."""
    made = (slot.tensor.rpartition(".")[0] for slot in graph.classes[name].slots if slot.role == "produce")
    return next(module for path in made if isinstance(module := network.get_submodule(path), nn.Conv2d))


def _selection(model: nn.Module, x: Tensor) -> Record:
    graph = ChannelGraph(model, x)
    law = WidthCost(graph)
    selector = Selector(law, prunable_groups(graph).free, BUDGET.limits(totals_of(law)))
    draw = np.random.default_rng(0)
    importances = [draw.random(choice.size) for choice in selector.free]
    (timing,) = timed(lambda: selector.select(importances), repeats=31)
    words = f"one selection, ResNet-50, {len(selector.free)} classes, {law.dense.sum():,} channels: median"
    return bounded(
        "prune.graph.selection", words, 1e3 * timing.p50_s, bound=50.0, goal="<= 50 ms", beside="", unit="ms"
    )
