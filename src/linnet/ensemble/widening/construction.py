"""Widen: one call makes a network wider and proves that it computes the same."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import nn
from torch.optim import Optimizer

from linnet.engine import derive_seed
from linnet.ensemble.arguments import whole_number
from linnet.ensemble.widening.batch_norm import batches_of_inputs, has_statistics, measure_statistics
from linnet.ensemble.widening.maps import random_copies
from linnet.ensemble.widening.seed_network import Copies, Manner, SeedNetwork, with_notes

_log = logging.getLogger(__name__)


def widen(
    model: nn.Module,
    example: Any,
    factor: float = 1.5,
    *,
    split: str = "random",
    noise: float = 0.0,
    noise_on: str = "all",
    reinit: float = 0.0,
    align: int | None = None,
    rng_seed: int = 0,
    frozen: Iterable[str] = (),
    optimizer: Optimizer | None = None,
    data: Iterable[Any] | None = None,
) -> Any:
    """A wider network that computes the same function, with the proof in `.widening`.

    Each class of n channels gets max(n + 1, round(factor * n)). A new channel copies one of the old ones: rows of
    whatever makes it, biases and statistics are copied, and the columns of whatever reads it are shared out among the
    copies with positive shares that sum to 1. Classes that touch the model's input or output keep their width.

    The function is kept in eval and train mode; the L2 norm of the weights isn't, so a weight-decay penalty starts
    lower than it was.

    Args:
        model: Any network; it, its mode and the global random states stay as they are.
        example: A tensor, a tuple of arguments or a dict of keyword arguments.
        factor: Above 1. Most layers' cost grows by its square.
        split: How copies share: "random" (they then learn different things), "even" (they stay equal for ever) or
            "pair" (added channels get fresh weights and come in pairs whose contributions cancel).
        noise: Gaussian noise on weights, as a multiple of each tensor's standard deviation. It gives up exactness; the
            proof is made before, and `.widening.change` says how far the function moved.
        noise_on: "all" weights or those of "copies" only.
        reinit: Share of the added channels that are made as in "pair".
        align: Round widths up to a multiple of this.
        rng_seed: Decides every draw: the same seed gives the same bits.
        frozen: Module paths that keep their width.
        optimizer: Its parameters and state follow, as in `linnet.resize`; None: make a new one.
        data: Batches on which the batch norms' statistics are measured again after noise.

    Returns:
        A new module of the same class.

    Raises:
        InputError: an argument is out of its range.
        GraphError: the network can't be traced, has nothing to widen, or a normalisation needs a whole factor.
        UnsupportedOperator: an operator has no channel rule.
        ProofError: the wide network isn't the same function; nothing was changed.
        OptimizerStateError: the optimizer's state can't follow.

    Source:
        Net2WiderNet: Chen, Goodfellow & Shlens 2016. Random convex shares and zero-sum pairs: linnet's choice.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3))
        >>> wide = widen(net, torch.zeros(1, 1, 8, 8), 1.5)
        >>> wide[0].out_channels, wide.widening.error < 1e-5
        (12, True)
    """
    manner = Manner(split, noise, noise_on, reinit)
    whole_number("rng_seed", rng_seed, least=0, remedy="Give 0, or another number for other draws.")
    batches = None if data is None else batches_of_inputs(data, model)
    seed = SeedNetwork(model, example, frozen=frozen)
    sizes = seed.sizes(factor, align=align)
    wide = seed.widened(drawn_copies(seed, sizes, rng_seed), manner, rng_seed=rng_seed, optimizer=optimizer)
    if noise:
        settle([wide], batches)
    return wide


def drawn_copies(seed: SeedNetwork, sizes: dict[str, int], rng_seed: int) -> Copies:
    """Extra copies for these sizes, by a random map for each class."""
    return {
        name: random_copies(known.size, sizes[name] - known.size, generator_of(rng_seed, name))
        for name, known in seed.free.items()
    }


def generator_of(rng_seed: int, name: str) -> np.random.Generator:
    """The generator that draws a class's map."""
    return np.random.default_rng(derive_seed(rng_seed, "map", name))


def settle(networks: Sequence[Any], data: Sequence[Any] | None) -> None:
    """After noise: the batch norms' statistics are measured again, or a note and a warning say that they are stale.

    Args:
        networks: What `SeedNetwork.widened` made.
        data: Batches of inputs; None: there are none.
    """
    stale = [network for network in networks if has_statistics(network)]
    if data is not None and stale:
        for network in stale:
            used = measure_statistics(network, data)
            network.widening = with_notes(
                network.widening, f"batch norm statistics were measured again on {used} batches"
            )
    elif stale:
        note = "noise made the batch norms' running statistics stale: train a little, or give `data`"
        for network in stale:
            network.widening = with_notes(network.widening, note)
        _log.warning("%s: %s.", type(stale[0]).__name__, note)
