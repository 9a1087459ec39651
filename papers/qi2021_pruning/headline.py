"""The arms of the headline: narrow networks by rule, and rivals that train for as many multiply-accumulates as ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from linnet.prune import Budget
from papers.qi2021_pruning.arms import ARMS, Arm, Made, fine_tuned, half_trained, planned_stages, uniform_stages
from papers.qi2021_pruning.bench import Bench
from papers.qi2021_pruning.scales import Stages


def rank(bench: Bench) -> Made:
    """The network whose widths the ranks of its layers decide, from scratch, for the same epochs."""
    return _narrow(bench, rank_stages(bench), bench.scale.epochs)


def rank_equal(bench: Bench) -> Made:
    """The same network for as many epochs as our pruner's multiply-accumulates are worth."""
    return _narrow(bench, rank_stages(bench), None)


def uniform_equal(bench: Bench) -> Made:
    """The uniformly narrow network for as many epochs as our pruner's multiply-accumulates are worth."""
    return _narrow(bench, uniform_stages(bench), None)


def torch_pruning_equal(bench: Bench) -> Made:
    """Trained whole for half of the epochs, pruned by Torch-Pruning's group norm, fine-tuned for what is left."""
    from papers.qi2021_pruning.peer import group_norm_pruned

    model, epochs = half_trained(bench)
    limits = Budget(**bench.limits).limits(bench.costs(model))
    small = group_norm_pruned(model, bench.example, limits["macs"], most_params=limits.get("params"))
    left = training_macs(bench) - (bench.scale.epochs - epochs) * bench.macs(model)
    return fine_tuned(bench, model, small, max(1, round(left / bench.macs(small))))


def rank_stages(bench: Bench) -> Stages:
    """Widths by the ranks of layers under all limits, as our pruner takes them."""
    return planned_stages(bench, align=bench.scale.align, shape="rank")


def training_macs(bench: Bench) -> float:
    """What a training of our pruner takes by its defaults: whole for half of the epochs, small for the rest."""
    small = bench.macs(bench.fresh(rank_stages(bench)))
    return bench.scale.epochs * 0.5 * (bench.macs(bench.fresh()) + small)


def _narrow(bench: Bench, stages: Stages, epochs: int | None) -> Made:
    model = bench.fresh(stages)
    own = bench.macs(model)
    epochs = epochs or max(1, round(training_macs(bench) / own))
    bench.train(model, epochs, bench.lr)
    return Made(model, epochs * own, {"epochs": epochs})


HEADLINE_ARMS: Mapping[str, tuple[str, Arm]] = MappingProxyType(
    {
        "rank": ("narrow by rank, same epochs", rank),
        "rank_equal": ("narrow by rank, same training MACs", rank_equal),
        "uniform_equal": ("uniformly narrow, same training MACs", uniform_equal),
        "torch_pruning_equal": ("Torch-Pruning group norm, fine-tuned, same training MACs", torch_pruning_equal),
    }
)
"""Key -> (label, what to do)."""
ALL_ARMS: Mapping[str, tuple[str, Arm]] = MappingProxyType({**ARMS, **HEADLINE_ARMS})
