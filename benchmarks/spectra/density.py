"""The density of a loss's Hessian beside PyHessian's and curvlinops', with equal probes and steps."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.goal import compared, machine_state, missing
from benchmarks.sidebyside import Side, compare, in_turns, unchecked
from benchmarks.small_networks import batch, mlp3
from linnet.results import Record
from linnet.spectra import Density, density
from linnet.spectra.loss_hessian import LossHessian

_BESIDE = {
    "pyhessian": "PyHessian (each vector made orthogonal once to all before, float32; torch.eig put back for it)",
    "curvlinops": "curvlinops (Papyan's, vectors aren't made orthogonal; its bounds are given to it)",
}
_TOP = 1e-2  # the largest Ritz values agree so far


def measure(*, quick: bool) -> list[Record]:
    """One row for each peer."""
    torch.manual_seed(0)
    model, (x, y) = mlp3(64 if quick else 512), batch((784,), 20 if quick else 100)
    probes, steps = (2, 25) if quick else (4, 40)
    records = []
    for peer, beside in _BESIDE.items():
        name = f"spectra.density.{peer}"
        size = sum(p.numel() for p in model.parameters())
        what = f"density of the Hessian, {probes} probes of {steps} steps, MLP of {size:,} parameters, N = {len(x)}"
        if find_spec(peer) is None:
            records.append(missing(name, what, goal=1.0, beside=beside, reason="not installed"))
            continue
        records.append(
            _beside(name, what, beside, _SIDES[peer](model, x, y, probes, steps), model, x, y, probes, steps)
        )
    return records


def _beside(
    name: str,
    what: str,
    beside: str,
    theirs: Callable[[], tuple[float, float]],
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    probes: int,
    steps: int,
) -> Record:
    """Both sides give (largest node, mean); these must agree before anything is timed."""

    def ours() -> tuple[float, float]:
        found = _ours(model, x, y, probes, steps)
        return max(float(rule.nodes.max()) for rule in found.rules), found.moment(1)[0]

    (top, _), (their_top, their_mean) = ours(), theirs()
    _, low, high = _ours(model, x, y, probes, steps).moment(1)
    assert abs(their_top / top - 1) < _TOP, (top, their_top)
    assert low <= their_mean <= high, (low, their_mean, high)  # other probes: within the bars
    found = compare(Side("linnet", ours, unchecked), Side("peer", theirs, unchecked), pairs=3)
    context = {"what": what, "beside": beside, "goal": ">= 1x faster", "least": 1.0} | machine_state()
    return compared(
        name, found, found.speed_ratio, found.interval, context=context, reason=_shares(model, x, y, probes, steps)
    )


def _shares(model: nn.Module, x: Tensor, y: Tensor, probes: int, steps: int) -> str:
    """What linnet's time goes to."""
    product = LossHessian(model, x, y, "cross_entropy")
    v = torch.randn(product.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def products() -> None:
        for _ in range(probes * steps):
            product(v)

    ways = {"products": products, "whole": lambda: _ours(model, x, y, probes, steps)}
    best = {name: min(times) for name, times in in_turns(ways, 2).items()}
    return (
        f"the {probes * steps} products, which any side needs, take {best['products']:.1f} s of linnet's "
        f"{best['whole']:.1f} s (measured)"
    )


def _ours(model: nn.Module, x: Tensor, y: Tensor, probes: int, steps: int) -> Density:
    product = LossHessian(model, x, y, "cross_entropy")
    return density(product, size=product.size, probes=probes, steps=steps, deflate=0)


def _pyhessian(model: nn.Module, x: Tensor, y: Tensor, probes: int, steps: int) -> Callable[[], tuple[float, float]]:
    from pyhessian import hessian

    def run() -> tuple[float, float]:
        before = torch.eig  # torch keeps the name, which refuses
        torch.eig = _eig
        try:
            own = hessian(model, nn.CrossEntropyLoss(), data=(x, y), cuda=False)
            nodes, weights = own.density(iter=steps, n_v=probes)
        finally:
            torch.eig = before
            model.zero_grad()
        values, shares = torch.tensor(nodes), torch.tensor(weights)
        return float(values.max()), float((values * shares).sum(1).mean())

    return run


def _eig(matrix: Tensor, eigenvectors: bool) -> tuple[Tensor, Tensor]:  # noqa: FBT001 (the signature of torch's own)
    """What torch.eig gave of a symmetric matrix: (values, 0) in columns, and vectors."""
    values, vectors = torch.linalg.eigh(matrix)
    return torch.stack([values, torch.zeros_like(values)], dim=1), vectors


def _curvlinops(model: nn.Module, x: Tensor, y: Tensor, probes: int, steps: int) -> Callable[[], tuple[float, float]]:
    from curvlinops import HessianLinearOperator
    from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

    parameters: Any = list(model.parameters())
    rules = _ours(model, x, y, 2, steps).rules
    bounds = min(float(r.nodes.min()) for r in rules), max(float(r.nodes.max()) for r in rules)

    def run() -> tuple[float, float]:
        torch.manual_seed(0)
        operator = HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, [(x, y)], check_deterministic=False)
        grid, found = lanczos_approximate_spectrum(operator, steps, num_repeats=probes, boundaries=bounds)
        shares = found / found.sum()
        return bounds[1], float((grid * shares).sum())

    return run


_SIDES: dict[str, Callable[..., Callable[[], tuple[float, float]]]] = {
    "pyhessian": _pyhessian,
    "curvlinops": _curvlinops,
}
