"""Masking: when masks move while a network trains, and how importance is averaged."""

from __future__ import annotations

from dataclasses import dataclass

from linnet.prune.importance.from_weights import Normalise


@dataclass(frozen=True)
class Masking:
    """Options of `Pruner` for the time in which channels are masked.

    `Pruner` checks the values, and names the field that can't be used.

    Attributes:
        warmup: Fraction of the pruner's `steps`, or a whole number of steps, without a mask. Without `steps`: 100
            steps.
        freeze: When masks cease to move, likewise. Without `steps`: when they hardly move any more, or the learning
            rate has fallen to a tenth of its maximum.
        every: Steps between measurements.
        memory: How importances are averaged: "ema" (a running mean, 0.99 for each measurement), "evaporate"
            (u <- 0.6 u + v), another decay as a number, or "schedule" (0.6, and 0.1 more after each drop of the
            learning rate). The decay rises to 1 before the freeze.
        normalise: What the importances of a class are divided by: its "max" or its "mean".
        retire: Updates of the mask after which a masked channel may be taken out, for compact="progressive".
        regrow: Whether masked channels are measured too, by what they would gain.

    Example:
        >>> import torch
        >>> from linnet.prune import Budget, Masking, Pruner
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
        >>> pruner = Pruner(net, torch.zeros(1, 4), Budget(macs=0.5), steps=100, masking=Masking(warmup=10, every=1))
    """

    warmup: float = 0.05
    freeze: float = 0.5
    every: int = 4
    memory: float | str = "ema"
    normalise: Normalise = "mean"
    retire: int = 50
    regrow: bool = False
