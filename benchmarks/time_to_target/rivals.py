"""The optimizers of the time-to-target study: how settings are drawn, and one update with each."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from linnet.optim import NaturalGradient
from linnet.results.record import Fact

Update = Callable[[Tensor, Tensor], None]

# Bounds of each setting, drawn uniformly in the logarithm: the same number of draws and of settings for all. Ours.
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "sgdm": {"lr": (3e-3, 1.0), "weight_decay": (1e-5, 1e-2)},
    "adam": {"lr": (3e-4, 3e-2), "eps": (1e-8, 1e-4)},
    "adamw": {"lr": (3e-4, 3e-2), "weight_decay": (1e-4, 1e-1)},
    "muon": {"lr": (1e-3, 1e-1), "other_lr": (3e-4, 3e-2)},
    "soap": {"lr": (3e-4, 3e-2), "weight_decay": (1e-4, 1e-1)},
    "curvlinops": {"lr": (1e-3, 3e-1), "damping": (1e-3, 1.0)},
    "kfac": {"lr": (1e-3, 3e-1), "damping": (1e-3, 1.0)},
    "exact": {"lr": (3e-2, 1.0), "damping": (3e-2, 3.0)},
}
WORDS: Mapping[str, str] = {
    "sgdm": "SGD, momentum 0.9",
    "adam": "Adam",
    "adamw": "AdamW",
    "muon": "`torch.optim.Muon`, kernels as matrices, the rest by AdamW",
    "soap": "SOAP (pytorch_optimizer)",
    "curvlinops": "K-FAC factors of curvlinops every 100 steps, hand loop, momentum 0.9",
    "kfac": "**ours** kfac, sampled, momentum 0.9",
    "exact": "**ours** exact, sampled, no momentum",
}
# what an update raises then, where it raises anything
DIVERGED = (ArithmeticError, torch.linalg.LinAlgError)  # pyright: ignore[reportPrivateImportUsage]
NEEDED = {"soap": "pytorch_optimizer", "curvlinops": "curvlinops"}


def missing(name: str) -> str | None:
    """The package that a rival needs and that isn't installed."""
    package = NEEDED.get(name)
    return package if package is not None and find_spec(package) is None else None


def draw(name: str, number: int) -> dict[str, Fact]:
    """The settings of one draw; draw `number` of a rival is the same on every machine."""
    rng = np.random.default_rng([number, zlib.crc32(name.encode())])
    bounds = RANGES[name].items()
    return {key: float(f"{math.exp(rng.uniform(math.log(lo), math.log(hi))):.3g}") for key, (lo, hi) in bounds}


def updates(name: str, model: nn.Module, settings: Mapping[str, Any]) -> Update:
    """One update of the model with a batch (x, y)."""
    if name == "exact":
        exact = NaturalGradient(
            model.eval(),
            "cross_entropy",
            "exact",
            fisher="sampled",
            isotropy_every=0,
            momentum=0.0,
            kl_clip=None,
            **settings,
        )
        return lambda x, y: exact.step(x, y) and None
    if name == "curvlinops":
        return _curvlinops(model, **settings)
    if name == "muon":
        return _muon(model, **settings)
    optimizer = _everyday(name, model, settings)

    def update(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    return update


def _everyday(name: str, model: nn.Module, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    if name == "sgdm":
        return torch.optim.SGD(parameters, momentum=0.9, **settings)
    if name == "adam":
        return torch.optim.Adam(parameters, **settings)
    if name == "adamw":
        return torch.optim.AdamW(parameters, **settings)
    if name == "soap":
        from pytorch_optimizer import SOAP  # pyright: ignore[reportMissingImports]

        return SOAP(parameters, **settings)
    return NaturalGradient(
        model,
        "cross_entropy",
        "kfac",
        fisher="sampled",
        momentum=0.9,
        kl_clip=None,
        dense_start=False,
        max_side=None,  # as in the records of before blocks, drawn positions and bfloat16 products
        sample_positions=False,
        half_products=False,
        **settings,
    )


def _muon(model: nn.Module, *, lr: float, other_lr: float) -> Update:
    """Muon on weights and on kernels as matrices (O, I), as its authors do; it takes matrices only, the rest AdamW."""
    own = [p for p in model.parameters() if p.ndim >= 2]
    matrices: list[nn.Parameter] = [nn.Parameter(p.detach().flatten(1)) for p in own]  # of the same memory
    optimizers = [
        torch.optim.Muon(matrices, lr=lr),
        torch.optim.AdamW([p for p in model.parameters() if p.ndim < 2], lr=other_lr),
    ]

    def update(x: Tensor, y: Tensor) -> None:
        model.zero_grad()
        cross_entropy(model(x), y).backward()
        for matrix, p in zip(matrices, own, strict=True):
            matrix.grad = None if p.grad is None else p.grad.flatten(1)
        for optimizer in optimizers:
            optimizer.step()

    return update


def _curvlinops(model: nn.Module, *, lr: float, damping: float, every: int = 100) -> Update:
    """A hand loop: factors of a batch by curvlinops every 100 steps, inverses by Cholesky, momentum 0.9."""
    from curvlinops import KFACLinearOperator

    layers = {path: m for path, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    weights = [cast(nn.Parameter, m.weight) for m in layers.values()]
    sgd = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    inverses: dict[str, tuple[Tensor, Tensor]] = {}
    steps = 0

    def refresh(x: Tensor, y: Tensor) -> None:
        if not all(bool(torch.isfinite(weight).all()) for weight in weights):
            raise ArithmeticError("a weight isn't finite")
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
