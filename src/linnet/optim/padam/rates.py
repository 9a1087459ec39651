"""Effective rates: the step for m = 1, element by element, and its spread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from linnet.optim.padam.kernels.loop import denominator
from linnet.optim.padam.numbers import numbers_of

_SAMPLE = 1_000_000  # elements of a group: quantiles of this many are sure to about 1/1000


@dataclass(frozen=True)
class EffectiveRates:
    """k / D over the elements of a parameter group: at p = 0 all are equal, at p = 1/2 they spread as 1 / sqrt(u).

    Attributes:
        p: Partial adaptivity of the group.
        median: Half of the elements have less.
        low: The 5 % point.
        high: The 95 % point.
        elements: How many were sampled; 0 before the first step, and then the rates are NaN.
    """

    p: float
    median: float
    low: float
    high: float
    elements: int

    @property
    def spread(self) -> float:
        """high / low: 1 means that nothing adapts."""
        return self.high / self.low if self.low > 0 else math.nan


def rates_of(group: Mapping[str, Any], state: Mapping[Tensor, Mapping[str, Any]]) -> EffectiveRates:
    """The effective rates of one parameter group.

    Args:
        group: A group of a Padam.
        state: State of the same Padam.
    """
    taken = [state[x] for x in group["params"] if state.get(x)]
    size = sum(held["exp_avg_sq"].numel() for held in taken)
    every = max(1, -(-size // _SAMPLE))
    with torch.no_grad():
        rates = [_rates(held, group, every) for held in taken]
    sample = torch.cat([torch.empty(0), *rates])
    if not len(sample):
        return EffectiveRates(group["p"], math.nan, math.nan, math.nan, 0)
    low, median, high = torch.quantile(sample, torch.tensor([0.05, 0.5, 0.95])).tolist()
    return EffectiveRates(group["p"], median, low, high, len(sample))


def _rates(held: Mapping[str, Any], group: Mapping[str, Any], every: int) -> Tensor:
    """k / D of every n-th element, as float32 on the CPU."""
    u = held["max_exp_avg_sq" if group["amsgrad"] and "max_exp_avg_sq" in held else "exp_avg_sq"]
    u = (torch.view_as_real(u) if u.is_complex() else u).flatten()[::every]
    numbers = numbers_of(group, max(held["step"].item(), 1.0))
    k = float(numbers.k)
    return (torch.full_like(u, k) if group["p"] == 0 else k / denominator(u, numbers)).float().cpu()
