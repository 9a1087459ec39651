"""What is compared: each arm trains its networks on the budget and gives an ensemble."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from torch import nn

from linnet.engine import derive_seed
from linnet.ensemble import HatchEnsemble
from linnet.ensemble.widening.construction import drawn_copies, settle
from linnet.ensemble.widening.seed_network import Manner, SeedNetwork
from papers.xia2021_hatch.networks import BatchEnsemble, Net, StochasticPasses, network
from papers.xia2021_hatch.problems import Problem
from papers.xia2021_hatch.scales import BUDGET, MEMBERS, Scale
from papers.xia2021_hatch.training import Spent, Trainer

Dials = Mapping[str, float]
Arm = Callable[[Trainer, Scale, int, Dials], nn.Module]


def whole(scale: Scale) -> int:
    """Steps of a full member's schedule."""
    return scale.epochs * (scale.train // 64)


def fresh(trainer: Trainer, widths: Sequence[int], number: int, **options: Any) -> Net:
    """A new network, drawn by the trainer's seed and a number."""
    seed = derive_seed(trainer.rng_seed, "network", number)
    return network(trainer.given.shape[0], widths, rng_seed=seed, **options)


def _independent(trainer: Trainer, widths: Sequence[int], count: int, steps: int, lr: float) -> HatchEnsemble:
    nets = [fresh(trainer, widths, number) for number in range(count)]
    trainer.train("members", nets, steps, lr, orders=range(count))
    return HatchEnsemble(nets)


def deep(count: int) -> Arm:
    """The first so many members of the full Deep Ensemble."""

    def trained(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
        nets = []
        for number in range(count):
            net, spent = _member(trainer.given, trainer.rng_seed, scale.widths, number, steps, dials["lr"])
            trainer.spent.add("members", spent.macs, spent.cpu_s)
            nets.append(copy.deepcopy(net))
        return HatchEnsemble(nets)

    return trained


@lru_cache(maxsize=MEMBERS)
def _member(
    given: Problem, rng_seed: int, widths: tuple[int, ...], number: int, steps: int, lr: float
) -> tuple[Net, Spent]:
    """A member of the full Deep Ensemble; kept, as its first members are arms too."""
    trainer = Trainer(given, rng_seed)
    net = fresh(trainer, widths, number)
    trainer.train("members", [net], steps, lr, orders=[number])
    return net, trainer.spent


def short(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """All members, each trained for the budget's share."""
    return _independent(trainer, scale.widths, MEMBERS, round(BUDGET * steps), dials["lr"])


def long(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """One network, trained for the whole budget."""
    return _independent(trainer, scale.widths, 1, round(BUDGET * MEMBERS * steps), dials["lr"])


def mc_dropout(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """One network with dropout, trained for the whole budget and asked M times."""
    net = fresh(trainer, scale.widths, 0, dropout=dials["dropout"])
    trainer.train("members", [net], round(BUDGET * MEMBERS * steps), dials["lr"], orders=[0])
    return StochasticPasses(net, MEMBERS)


def snapshot(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """One network in M cosine cycles; its weights at the end of each are a member."""
    net, found = fresh(trainer, scale.widths, 0), []
    for cycle in range(MEMBERS):
        trainer.train("members", [net], round(BUDGET * steps), dials["lr"], orders=[cycle])
        found.append(copy.deepcopy(net))
    return HatchEnsemble(found)


def batch_ensemble(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """Shared weights and rank-1 factors; each step deals its batch out to the members."""
    net = BatchEnsemble(fresh(trainer, scale.widths, 0), MEMBERS)
    trainer.train("members", [net], round(BUDGET * MEMBERS * steps), dials["lr"], orders=[0])
    return net


def packed(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """M subnetworks of half the width side by side, on the same batches: as many steps as the budget allows."""
    half = [width // 2 for width in scale.widths]
    nets = [fresh(trainer, half, number) for number in range(MEMBERS)]
    budget = BUDGET * MEMBERS * steps * trainer.macs(fresh(trainer, scale.widths, 0))
    trainer.train("members", nets, int(budget / (MEMBERS * trainer.macs(nets[0]))), dials["lr"])
    return HatchEnsemble(nets)


def narrow(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """As many narrow networks as the budget allows, each trained for a whole schedule."""
    budget = BUDGET * MEMBERS * trainer.macs(fresh(trainer, scale.widths, 0))
    count = int(budget / trainer.macs(fresh(trainer, scale.narrow, 0)))
    return _independent(trainer, scale.narrow, count, steps, dials["lr"])


def hatch_late(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """Narrow networks trained to the end, each hatched to the full widths and trained for what is left."""
    count = int(dials["seeds"])
    seeds = [fresh(trainer, scale.narrow, number) for number in range(count)]
    trainer.train("seeds", seeds, steps, dials["lr"], orders=range(count))
    full = trainer.macs(fresh(trainer, scale.widths, 0))
    left = BUDGET * MEMBERS * steps * full - count * steps * trainer.macs(seeds[0])
    nets = [_hatched(trainer, seed, scale.widths, dials, number) for number, seed in enumerate(seeds)]
    trainer.train("hatched", nets, int(left / (count * full)), dials["restart"], orders=range(count, 2 * count))
    return HatchEnsemble(nets)


def hatch_one(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """One network of three quarters of the width, hatched M times and trained for what is left."""
    seed = fresh(trainer, [3 * width // 4 for width in scale.widths], 0)
    own = round(dials["at"] * steps)
    trainer.train("seeds", [seed], own, dials["lr"], orders=[0])
    full = trainer.macs(fresh(trainer, scale.widths, 0))
    left = BUDGET * MEMBERS * steps * full - own * trainer.macs(seed)
    nets = [_hatched(trainer, seed, scale.widths, dials, number) for number in range(MEMBERS)]
    trainer.train("hatched", nets, int(left / (MEMBERS * full)), dials["restart"], orders=range(1, MEMBERS + 1))
    return HatchEnsemble(nets)


def chain(trainer: Trainer, scale: Scale, steps: int, dials: Dials) -> nn.Module:
    """One network that grows to the full width in M - 1 links; each link, trained in a cycle, is a member."""
    shares = [0.75 + 0.25 * number / (MEMBERS - 1) for number in range(MEMBERS)]
    sizes = [[round(share * width) for width in scale.widths] for share in shares]
    costs = [trainer.macs(fresh(trainer, widths, 0)) for widths in sizes]
    each = int(BUDGET * MEMBERS * steps * costs[-1] / sum(costs))
    net, found = fresh(trainer, sizes[0], 0), []
    for number, widths in enumerate(sizes):
        if number:
            net = _hatched(trainer, net, widths, dials, number)
        trainer.train("links", [net], each, dials["restart"] if number else dials["lr"], orders=[number])
        found.append(net)
    return HatchEnsemble(found)


def _hatched(trainer: Trainer, seed: nn.Module, widths: Sequence[int], dials: Dials, number: int) -> Any:
    """The seed, widened to given widths, with noise and statistics measured anew."""
    own = derive_seed(trainer.rng_seed, "hatch", number)
    traced = SeedNetwork(seed, trainer.given.train[0][:2])
    sizes = dict(zip(traced.free, widths, strict=True))
    wide = traced.widened(drawn_copies(traced, sizes, own), Manner(noise=dials["noise"]), rng_seed=own)
    settle([wide], trainer.given.train[0].split(64))
    return wide


RATES = tuple({"lr": rate} for rate in (0.1, 0.05, 0.2))
LATE = (
    {"lr": 0.1, "seeds": 4, "noise": 0.3, "restart": 0.03},
    {"lr": 0.1, "seeds": 4, "noise": 0.5, "restart": 0.1},
    {"lr": 0.1, "seeds": 6, "noise": 0.3, "restart": 0.05},
)
ONE = (
    {"lr": 0.1, "at": 0.6, "noise": 0.5, "restart": 0.1},
    {"lr": 0.1, "at": 0.3, "noise": 0.5, "restart": 0.1},
    {"lr": 0.1, "at": 0.6, "noise": 1.0, "restart": 0.2},
)
CHAIN = (
    {"lr": 0.1, "noise": 0.3, "restart": 0.05},
    {"lr": 0.1, "noise": 0.3, "restart": 0.1},
    {"lr": 0.1, "noise": 0.1, "restart": 0.1},
)
ARMS: Mapping[str, tuple[Arm, tuple[Dials, ...]]] = {
    "full": (deep(MEMBERS), RATES),
    "two": (deep(2), RATES),
    "one": (deep(1), RATES),
    "short": (short, RATES),
    "long": (long, RATES),
    "mc_dropout": (
        mc_dropout,
        ({"lr": 0.1, "dropout": 0.1}, {"lr": 0.1, "dropout": 0.05}, {"lr": 0.05, "dropout": 0.05}),
    ),
    "snapshot": (snapshot, RATES),
    "batch_ensemble": (batch_ensemble, RATES),
    "packed": (packed, RATES),
    "narrow": (narrow, RATES),
    "hatch_late": (hatch_late, LATE),
    "hatch_one": (hatch_one, ONE),
    "chain": (chain, CHAIN),
}
"""Arm -> how it is trained, and the candidates for its dials: three each."""
SAME_DIALS = {"full": "one", "two": "one"}  # members are the same networks: one search serves them
HATCHED = ("hatch_late", "hatch_one", "chain")
