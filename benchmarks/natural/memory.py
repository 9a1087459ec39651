"""Peak memory of a natural gradient step beside the formulas, each way in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.peak_memory import RESETTABLE
from benchmarks.process import own_process
from benchmarks.small_networks import batch, mlp3
from linnet.optim import NaturalGradient
from linnet.results import Record

WAYS = ("SGD", "exact", "exact, sampled", "block", "kfac")
CLASSES = 10
_BESIDE = {
    "SGD": "N sum O of the forward, and the gradients",
    "exact": "(a, g) N sum I + n sum O, Theta n^2 in float64 and its float32 factor",
    "exact, sampled": "the same with n = 2 N",
    "block": "(a, g), the Theta of one layer in float64 and its float32 factor",
    "kfac": "(a, g) N sum I + N sum O, sums and new inverses of every layer I^2 + O^2, gradients",
}


def records(*, quick: bool) -> list[Record]:
    """One row for each way."""
    width, samples = (64, 16) if quick else (1024, 256)
    if not RESETTABLE:
        why = {"what": "peak memory of a step", "beside": "formula", "goal": "beside it", "reason": "no /proc here"}
        return [Record.measured("natural.memory", None, context=why)]
    return [_row(way, width, samples) for way in WAYS]


def _row(way: str, width: int, samples: int) -> Record:
    measured = own_process(step_of, way, width, samples, peak="call").extra_bytes
    expected = formula(way, mlp3(width), samples)
    context = {
        "what": f"peak memory of a step beyond its state, {way}, 3-layer MLP of width {width}, N = {samples}, "
        f"C = {CLASSES}: {measured / 1e6:.0f} MB",
        "beside": f"{_BESIDE[way]}: {expected / 1e6:.0f} MB",
        "goal": "beside the formula",
        "bytes": measured,
        "formula_bytes": expected,
    }
    name = way.replace(", ", "_")
    return Record.measured(f"natural.memory.{name}", measured / expected, unit="x", context=context)


def formula(way: str, model: nn.Module, samples: int) -> int:
    """Bytes that the spec's formula gives, in float32 but for Theta.

    Args:
        way: Of `WAYS`.
        model: Linear layers.
        samples: N.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    inputs, outputs = sum(m.in_features for m in layers), sum(m.out_features for m in layers)
    gradients = sum(p.numel() for p in model.parameters())
    if way == "SGD":
        return 4 * (samples * outputs + gradients)
    if way == "kfac":
        factors = sum((m.in_features + 1) ** 2 + m.out_features**2 for m in layers)
        return 4 * (samples * (inputs + outputs) + 2 * factors + gradients)
    n = 2 * samples if way == "exact, sampled" else samples * (CLASSES - 1)
    return 4 * (samples * inputs + n * outputs + gradients) + 12 * n * n


def step_of(way: str, width: int, samples: int) -> Callable[[], object]:
    """A step of one of `WAYS`."""
    torch.manual_seed(0)
    model, (x, y) = mlp3(width), batch((784,), samples)
    if way == "SGD":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    elif way == "kfac":
        optimizer = NaturalGradient(
            model, "cross_entropy", "kfac", fisher="sampled", damping=1e-2, lr=1e-3, factor_every=1, inverse_every=1
        )
    else:
        approx, fisher = way.split(",")[0], "sampled" if "sampled" in way else "model"
        dual = NaturalGradient(model, "cross_entropy", approx, fisher=fisher, damping=1e-2, lr=1e-3, isotropy_every=0)  # pyright: ignore[reportArgumentType]
        return lambda: dual.step(x, y)

    def everyday() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return everyday
