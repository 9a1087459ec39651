"""Padam at both ends of p beside the optimizers that it joins: the same weights, step for step."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from linnet.optim import Padam
from linnet.results import Record

NAME = "chen2020_padam.joins"
_STEPS, _LR, _BETA = 200, 0.01, 0.9


def ends_of_p(seed: int) -> Record:
    """The largest difference of weights, relative to the largest weight, of two pairs of trainings in float64.

    p = 1/2, eps = 0 beside torch's Adam with amsgrad and eps = 0; p = 0 without bias correction beside torch's SGD with
    the learning rate lr (1 - b1), momentum b1 and no damping.
    """
    began = time.perf_counter()
    pairs: list[tuple[Callable[..., Any], dict[str, Any], Callable[..., Any], dict[str, Any]]] = [
        (Padam, {"lr": _LR, "p": 0.5, "eps": 0.0}, torch.optim.Adam, {"lr": _LR, "eps": 0.0, "amsgrad": True}),
        (
            Padam,
            {"lr": _LR, "p": 0.0, "bias_correction": "none"},
            torch.optim.SGD,
            {"lr": _LR * (1 - _BETA), "momentum": _BETA},
        ),
    ]
    found = [_difference(_weights(ours, a, seed), _weights(theirs, b, seed)) for ours, a, theirs, b in pairs]
    wall_s = round(time.perf_counter() - began, 2)
    return Record.measured(NAME, max(found), n=_STEPS, rng_seed=seed, context={"wall_s": wall_s})


def _weights(kind: Callable[..., Any], keywords: dict[str, Any], seed: int) -> list[Tensor]:
    """Weights of a small network after training on made-up targets."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [nn.Parameter(drawn(a, b) / a**0.5) for a, b in pairwise((6, 16, 3))]
    x, y = drawn(64, 6), drawn(64, 3)
    optimizer = kind(weights, **keywords)
    for step in range(_STEPS):
        batch = slice(8 * (step % 8), 8 * (step % 8) + 8)
        optimizer.zero_grad()
        ((x[batch] @ weights[0]).tanh() @ weights[1] - y[batch]).square().mean().backward()
        optimizer.step()
    return [weight.detach() for weight in weights]


def _difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    a, b = (torch.cat([weight.flatten() for weight in weights]) for weights in (ours, theirs))
    return float((a - b).abs().max() / b.abs().max())
