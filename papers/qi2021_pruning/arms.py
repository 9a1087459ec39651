"""The arms: our pruner, its variants, and what it is compared with, at equal epochs and equal budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from linnet import cost
from linnet.engine import Run
from linnet.models import VGG
from linnet.prune import Budget, Pruner, Pruning, extract, plan
from papers.qi2021_pruning.bench import Bench, Data
from papers.qi2021_pruning.scales import Scale, Stages


@dataclass(frozen=True)
class Made:
    """What an arm came to.

    Attributes:
        model: The network that is tested.
        train_macs: Multiply-accumulates of the forward passes of its training, per image of the set.
        facts: More for the record.
    """

    model: nn.Module
    train_macs: float
    facts: Mapping[str, Any] = field(default_factory=dict)


def dense(bench: Bench) -> Made:
    """The network as it is, trained."""
    model = bench.fresh()
    bench.train(model, bench.scale.epochs, bench.lr)
    return Made(model, bench.scale.epochs * bench.macs(model))


def pruned(bench: Bench, **options: Any) -> Made:
    """Our pruner, from scratch, with its defaults or other options."""
    model = bench.fresh()
    steps = bench.scale.epochs * bench.epoch_steps
    keywords: dict[str, Any] = {"align": bench.scale.align, "steps": steps, "rng_seed": bench.seed} | options
    pruner = Pruner(model, bench.example, Budget(**bench.limits), **keywords)
    dense_macs, listener = bench.macs(model), _Watched(pruner)
    bench.train(model, bench.scale.epochs, bench.lr, listeners=[listener])
    small = pruner.finish()
    facts = {
        "proof_error": small.linnet_edit.error,
        "flips": pruner.changes,
        "skipped": pruner.skipped,
        "difference": _difference(bench, model, small),
        "most_used": listener.most_used,
    }
    if bench.seed == 1 and not options:
        facts |= {"life": pruner.life.to_json(), "steps": steps}
    share = (listener.whole_steps or steps) / steps
    return Made(small, bench.scale.epochs * (share * dense_macs + (1 - share) * bench.macs(small)), facts)


class _Watched(Pruning):
    """Our pruner in the loop; what is told of it survives a kill.

    Attributes:
        most_used: Largest share of a limit at any step after the warm-up.
        whole_steps: Updates until the network became smaller; 0: it didn't.
    """

    def __init__(self, pruner: Pruner):
        super().__init__(pruner)
        self.most_used, self.whole_steps = 0.0, 0

    def on_step(self, run: Run) -> None:
        super().on_step(run)
        step = self.steps[-1]
        if step.phase != "warmup":
            self.most_used = max(self.most_used, *step.used.values())
        if step.compacted:
            self.whole_steps = step.step + 1

    def state_dict(self) -> dict[str, Any]:
        seen = {"most_used": self.most_used, "whole_steps": self.whole_steps}
        return {"pruner": super().state_dict(), **seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state["pruner"])
        self.most_used, self.whole_steps = float(state["most_used"]), int(state["whole_steps"])


def uniform(bench: Bench) -> Made:
    """A network that is narrower everywhere by one factor, from scratch, for the same epochs."""
    model = bench.fresh(uniform_stages(bench))
    bench.train(model, bench.scale.epochs, bench.lr)
    return Made(model, bench.scale.epochs * bench.macs(model))


def uniform_longer(bench: Bench) -> Made:
    """The same network for as many epochs as our pruner's multiply-accumulates are worth."""
    model = bench.fresh(uniform_stages(bench))
    dense_macs, own = bench.macs(bench.fresh()), bench.macs(model)
    epochs = max(1, round(bench.scale.epochs * 0.5 * (dense_macs + own) / own))  # ours is whole for half of its steps
    bench.train(model, epochs, bench.lr)
    return Made(model, epochs * own, {"epochs": epochs})


def one_shot(bench: Bench) -> Made:
    """Trained whole for half of the epochs, pruned by L1 norm in one shot, fine-tuned for the other half."""
    model, epochs = half_trained(bench)
    found = plan(model, bench.example, Budget(**bench.limits), criterion="l1", align=bench.scale.align)
    return fine_tuned(bench, model, extract(model, found), epochs)


def torch_pruning(bench: Bench) -> Made:
    """Trained whole for half of the epochs, pruned by Torch-Pruning's group norm, fine-tuned for the other half."""
    from papers.qi2021_pruning.peer import group_norm_pruned

    model, epochs = half_trained(bench)
    limit = Budget(macs=bench.limits["macs"]).limits({"macs": bench.macs(model)})["macs"]
    return fine_tuned(bench, model, group_norm_pruned(model, bench.example, limit), epochs)


def random_mask(bench: Bench) -> Made:
    """Our pruner with utilities that are drawn once."""
    return pruned(bench, criterion="random")


def per_layer(bench: Bench) -> Made:
    """Our pruner with one share for all layers."""
    return pruned(bench, select="per_layer")


Arm = Callable[[Bench], Made]
ARMS: Mapping[str, tuple[str, Arm]] = MappingProxyType(
    {
        "dense": ("dense", dense),
        "ours": ("ours: pruned while it trains", pruned),
        "uniform": ("uniformly narrow, same epochs", uniform),
        "uniform_longer": ("uniformly narrow, same training MACs", uniform_longer),
        "l1": ("one-shot L1, fine-tuned", one_shot),
        "torch_pruning": ("Torch-Pruning group norm, fine-tuned", torch_pruning),
        "random": ("ours, random mask", random_mask),
        "per_layer": ("ours, one share for all layers", per_layer),
    }
)
"""Key -> (label, what to do)."""
RIVALS = ("uniform", "uniform_longer", "l1", "torch_pruning", "random", "per_layer")


def uniform_stages(bench: Bench) -> Stages:
    """Widths of the largest uniformly narrow network within the limits."""
    return planned_stages(bench, align=1, min_fraction=0.0, select="per_layer")


def planned_stages(bench: Bench, **options: Any) -> Stages:
    """Widths that a plan gives, by options of `plan`, within the limits."""
    found = plan(bench.fresh(), bench.example, Budget(**bench.limits), **options)
    widths = iter(len(kept) for kept in found.kept.values())
    return tuple(tuple(next(widths) for _ in stage) for stage in bench.scale.stages)


def stages_of(model: nn.Module) -> Stages:
    """Widths of the stages of a VGG network, whole or pruned."""
    assert isinstance(model, VGG)
    stages: list[tuple[int, ...]] = [()]
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            stages[-1] += (module.out_channels,)
        elif isinstance(module, nn.MaxPool2d):
            stages.append(())
    return tuple(stage for stage in stages if stage)


def half_trained(bench: Bench) -> tuple[nn.Module, int]:
    """The dense network after half of the epochs, and the epochs that are left."""
    first = bench.scale.epochs - bench.scale.epochs // 2
    model = bench.fresh()
    model.load_state_dict(_half_state(bench.scale, bench.ready, bench.seed, bench.lr, first, bench.checkpoints))
    return model, bench.scale.epochs - first


@lru_cache(maxsize=2)
def _half_state(
    scale: Scale, ready: Data, seed: int, lr: float, epochs: int, checkpoints: Path | None
) -> dict[str, torch.Tensor]:
    """Trained once for all rivals that begin with it."""
    bench = Bench(scale, ready, seed, lr, {}, checkpoints=checkpoints)
    model = bench.fresh()
    bench.train(model, epochs, lr)
    return model.state_dict()


def fine_tuned(bench: Bench, model: nn.Module, small: nn.Module, epochs: int) -> Made:
    """A network that was cut out of `half_trained`'s, trained for so many epochs."""
    before = (bench.scale.epochs - bench.scale.epochs // 2) * bench.macs(model)
    bench.train(small, epochs, bench.lr * bench.fine_tune, part="fine-tuning")
    return Made(small, before + epochs * bench.macs(small))


def _difference(bench: Bench, trained: nn.Module, small: nn.Module) -> float:
    """Largest difference of logits between the trained network, masked or already small, and what `finish` gave.

    Relative to the largest logit, over test images.
    """
    images = bench.ready.test_inputs[:64].to(next(small.parameters()).device)
    with torch.no_grad():
        a, b = (network.eval()(images).double() for network in (trained, small))
    return float((a - b).abs().max() / a.abs().max())


def within(bench: Bench, model: nn.Module) -> dict[str, float]:
    """Share of each limit that a network costs, counted anew."""
    whole, own = (cost(network, bench.example) for network in (bench.fresh(), model))
    limits = Budget(**bench.limits).limits({name: getattr(whole, name) for name in bench.limits})
    return {name: getattr(own, name) / limit for name, limit in limits.items()}
