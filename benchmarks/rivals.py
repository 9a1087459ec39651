"""The optimizers of the time-to-target study: how settings are drawn, and one update with each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from linnet.optim import NaturalGradient

Fact = str | int | float | bool
Update = Callable[[Tensor, Tensor], None]

# Bounds of each setting, drawn uniformly in the logarithm: the same number of draws for every rival. Ours.
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "sgdm": {"lr": (3e-3, 1.0), "weight_decay": (1e-5, 1e-2)},
    "adamw": {"lr": (3e-4, 3e-2), "weight_decay": (1e-4, 1e-1)},
    "muon": {"lr": (1e-3, 1e-1), "other_lr": (3e-4, 3e-2)},
    "soap": {"lr": (3e-4, 3e-2), "weight_decay": (1e-4, 1e-1)},
    "curvlinops": {"lr": (1e-3, 3e-1), "damping": (1e-3, 1.0)},
    "kfac": {"lr": (1e-3, 3e-1), "damping": (1e-3, 1.0)},
    "exact": {"lr": (1e-2, 1.0), "damping": (1e-2, 10.0)},
}
NEEDED = {"soap": "pytorch_optimizer", "curvlinops": "curvlinops"}


def missing(name: str) -> str | None:
    """The package that a rival needs and that isn't installed."""
    package = NEEDED.get(name)
    return package if package is not None and find_spec(package) is None else None


def draw(name: str, number: int) -> dict[str, Fact]:
    """The settings of one draw; draw `number` of a rival is the same on every machine."""
    rng = np.random.default_rng([number, sorted(RANGES).index(name)])
    bounds = RANGES[name].items()
    return {key: float(f"{math.exp(rng.uniform(math.log(lo), math.log(hi))):.3g}") for key, (lo, hi) in bounds}


def updates(name: str, model: nn.Module, settings: Mapping[str, Any]) -> Update:
    """One update of the model with a batch (x, y)."""
    if name == "exact":
        exact = NaturalGradient(
            model.eval(), "cross_entropy", "exact", fisher="sampled", isotropy_every=0, momentum=0.0, **settings
        )
        return lambda x, y: exact.step(x, y) and None
    if name == "curvlinops":
        return _curvlinops(model, **settings)
    optimizers = _everyday(name, model, settings)

    def update(x: Tensor, y: Tensor) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        for optimizer in optimizers:
            optimizer.step()

    return update


def _everyday(name: str, model: nn.Module, settings: Mapping[str, Any]) -> list[torch.optim.Optimizer]:
    parameters = list(model.parameters())
    if name == "sgdm":
        return [torch.optim.SGD(parameters, momentum=0.9, **settings)]
    if name == "adamw":
        return [torch.optim.AdamW(parameters, **settings)]
    if name == "muon":  # it takes matrices only; the rest goes to AdamW, as its authors do
        matrices, rest = ([p for p in parameters if (p.ndim == 2) == wanted] for wanted in (True, False))
        return [torch.optim.Muon(matrices, lr=settings["lr"]), torch.optim.AdamW(rest, lr=settings["other_lr"])]
    if name == "soap":
        from pytorch_optimizer import SOAP  # pyright: ignore[reportMissingImports]

        return [SOAP(parameters, **settings)]
    return [NaturalGradient(model, "cross_entropy", "kfac", fisher="sampled", momentum=0.9, **settings)]


def _curvlinops(model: nn.Module, *, lr: float, damping: float, every: int = 100) -> Update:
    """A hand loop: factors of a batch by curvlinops every 100 steps, inverses by Cholesky, momentum 0.9."""
    from curvlinops import KFACLinearOperator

    layers = {path: m for path, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    weights = [m.weight for m in layers.values()]
    sgd = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    inverses: dict[str, tuple[Tensor, Tensor]] = {}
    steps = 0

    def refresh(x: Tensor, y: Tensor) -> None:
        operator = KFACLinearOperator(
            model, nn.CrossEntropyLoss(), weights, [(x, y)], check_deterministic=False, num_data=len(x),
            num_per_example_loss_terms=1,
        )  # fmt: skip
        operator.compute_kronecker_factors()
        for path in layers:
            a, g = operator._input_covariances[path], operator._gradient_covariances[path]
            pi = (a.diagonal().mean() / g.diagonal().mean().clamp_min(1e-30)).sqrt()
            inverses[path] = tuple(
                torch.linalg.inv(m + rho * damping**0.5 * torch.eye(len(m))) for m, rho in ((a, pi), (g, 1 / pi))
            )

    def update(x: Tensor, y: Tensor) -> None:
        nonlocal steps
        if steps % every == 0:
            refresh(x, y)
        steps += 1
        sgd.zero_grad()
        cross_entropy(model(x), y).backward()
        for path, layer in layers.items():
            a, g = inverses[path]
            assert layer.weight.grad is not None
            v = layer.weight.grad.flatten(1)
            layer.weight.grad.copy_((g @ v @ a).view_as(layer.weight))
        sgd.step()

    return update
