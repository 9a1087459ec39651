"""Hatch: the members of an ensemble, widened from one trained network or from several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from torch import nn

from linnet.core.channels.union_find import Ints
from linnet.engine import derive_seed
from linnet.ensemble.arguments import require_callable, whole_number
from linnet.ensemble.hatch_ensemble import HatchEnsemble
from linnet.ensemble.hatching.widths import member_factors
from linnet.ensemble.outputs import require_equal_sizes, require_fitting
from linnet.ensemble.prediction.shapes import TASKS
from linnet.ensemble.widening.batch_norm import batches_of_inputs
from linnet.ensemble.widening.construction import drawn_copies, generator_of, settle
from linnet.ensemble.widening.maps import rarest_first
from linnet.ensemble.widening.seed_network import Copies, Manner, SeedNetwork
from linnet.errors import InputError
from linnet.suggest import one_of

MAPS = ("independent", "anti")
_log = logging.getLogger(__name__)
TrainOne = Callable[[nn.Module, int], Any]


def hatch(
    model: nn.Module | Sequence[nn.Module],
    example: Any,
    members: int = 5,
    *,
    widths: str | Sequence[float] = "same",
    factor: float = 1.25,
    noise: float = 0.5,
    noise_on: str = "all",
    split: str = "random",
    reinit: float = 0.0,
    maps: str = "independent",
    align: int | None = None,
    chain: bool = False,
    train: TrainOne | None = None,
    rng_seed: int = 0,
    frozen: Iterable[str] = (),
    data: Sequence[Any] | None = None,
    task: str = "classification",
) -> HatchEnsemble:
    """An ensemble whose members are wider copies of a trained network, made to differ.

    Every member computes the seed's function before noise is added (proved once for each set of widths). Members
    differ by which channels they copy, by the random shares of the copies, and by noise. Train them a little
    (`ens.fit`, or your own loop over `ens.members`): weights that differ aren't yet functions that differ.

    Args:
        model: The seed network, or a list of them: member k comes from seed k modulo their number. Seeds are only read.
        example: A tensor, a tuple of arguments or a dict of keyword arguments.
        members: M, 1 or more.
        widths: "same" (all members get `factor`), "varied" (different architectures), or a list of M factors.
        factor: How many times as many channels, above 1. Most layers' cost grows by its square.
        noise: Gaussian noise on weights, in standard deviations of each tensor; 0 keeps the function.
        noise_on: "all" weights, or those of "copies" only.
        split: "random", "even" or "pair"; see `widen`. Even and without noise, copies stay equal for ever.
        reinit: Share of the added channels that get fresh weights, in pairs that cancel.
        maps: Which channels are copied: "independent" draws for each member, or "anti" (those that other members
            copied least).
        align: Round widths up to a multiple of this.
        chain: Widen member k + 1 from member k after `train` has trained it, rather than all from the seed.
        train: For `chain`: called as train(member, index) as each member is made.
        rng_seed: Decides every draw; the global random states are untouched.
        frozen: Module paths that keep their width.
        data: Batches on which batch norms' statistics are measured again after noise.
        task: "classification", "regression" or "dense"; see `HatchEnsemble`.

    Returns:
        The ensemble, in the seed's mode. After training that is train mode, in which batch norms use each batch's
        statistics: call `ens.eval()` before you predict, unless `ens.fit` trains the members, which leaves eval mode.
        `.widenings` has each member's facts and proof.

    Raises:
        InputError: an argument is out of its range.
        GraphError: a network can't be traced, has nothing to widen, or a normalisation needs a whole factor.
        UnsupportedOperator: an operator has no channel rule.
        ProofError: a wide network isn't the same function.

    Source:
        Xia et al. 2021 (HatchEnsemble). Factor, noise scale, shares and maps are linnet's choices.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
        >>> ens = hatch(net, torch.zeros(1, 1, 8, 8), members=3, noise=0)
        >>> len(ens), ens.members[0][0].out_channels
        (3, 10)
    """
    seeds = _seeds(model, members)
    one_of("task", task, TASKS)
    one_of("maps", maps, MAPS)
    whole_number("rng_seed", rng_seed, least=0, remedy="Give 0, or another number for other draws.")
    batches = None if data is None else batches_of_inputs(data, seeds[0])
    manner = Manner(split, noise, noise_on, reinit)
    factors = member_factors(widths, factor, members, rng_seed=derive_seed(rng_seed, "widths") % 2**32)
    steps = _trainer(train, chain=chain)
    if steps is not None:
        made = _chained(seeds, example, factors, manner, steps, task, rng_seed=rng_seed, align=align, frozen=frozen)
    else:
        made = _from_seeds(seeds, example, factors, manner, maps, task, rng_seed=rng_seed, align=align, frozen=frozen)
        if noise:
            settle(made, batches)
    return HatchEnsemble(made, task=task)


def _seeds(model: Any, members: int) -> list[nn.Module]:
    if not isinstance(members, Integral) or isinstance(members, bool) or members < 1:
        raise InputError(f"`members` must be a whole number >= 1 (got {members!r}). Give 5 for five networks.")
    if not isinstance(model, (nn.Module, Sequence)):
        raise InputError(f"`model` must be a torch.nn.Module, or a list of them (got {type(model).__name__}).")
    seeds = [model] if isinstance(model, nn.Module) else list(model)
    if not seeds or len(seeds) > members or not all(isinstance(seed, nn.Module) for seed in seeds):
        raise InputError(
            f"`model` must be a torch.nn.Module, or a list of at most {members} of them, one for each member (got "
            f"{type(model).__name__} of {len(seeds)})."
        )
    return seeds


def _trainer(train: TrainOne | None, *, chain: bool) -> TrainOne | None:
    """What trains the members of a chain; None where there is none."""
    if not chain:
        if train is not None:
            raise InputError("`train` must be None without `chain` (got a function). Say chain=True, or use `ens.fit`.")
        return None
    if train is None:
        raise InputError("`chain` widens each member from the trained one before it: give train(member, index).")
    require_callable("train", train, "train(member, index)", "member", "index")
    return train


def _from_seeds(
    seeds: list[nn.Module],
    example: Any,
    factors: Sequence[float],
    manner: Manner,
    maps: str,
    task: str,
    **options: Any,
) -> list[nn.Module]:
    traced = [SeedNetwork(seed, example, frozen=options["frozen"]) for seed in seeds]
    require_equal_sizes([seed.answers for seed in traced])
    require_fitting("model", traced[0].answers, task)
    taken = [{name: np.zeros(known.size, dtype=np.int64) for name, known in seed.free.items()} for seed in traced]
    made = []
    for number, factor in enumerate(factors):
        place = number % len(seeds)
        seed, own = traced[place], derive_seed(options["rng_seed"], "member", number)
        sizes = seed.sizes(factor, align=options["align"])
        copies = drawn_copies(seed, sizes, own) if maps == "independent" else _rarest(seed, sizes, taken[place], own)
        made.append(seed.widened(copies, manner, rng_seed=own))
    return made


def _rarest(seed: SeedNetwork, sizes: dict[str, int], taken: dict[str, Ints], rng_seed: int) -> Copies:
    return {
        name: rarest_first(taken[name], sizes[name] - known.size, generator_of(rng_seed, name))
        for name, known in seed.free.items()
    }


def _chained(
    seeds: list[nn.Module],
    example: Any,
    factors: Sequence[float],
    manner: Manner,
    train: TrainOne,
    task: str,
    *,
    rng_seed: int,
    align: int | None,
    frozen: Iterable[str],
) -> list[nn.Module]:
    if len(seeds) > 1:
        raise InputError(f"`chain` starts from one network (got a list of {len(seeds)}).")
    made, current = [], seeds[0]
    for number, factor in enumerate(factors):
        seed, own = SeedNetwork(current, example, frozen=frozen), derive_seed(rng_seed, "member", number)
        require_fitting("model", seed.answers, task)
        current = seed.widened(drawn_copies(seed, seed.sizes(factor, align=align), own), manner, rng_seed=own)
        train(current, number)
        made.append(current)
    return made
