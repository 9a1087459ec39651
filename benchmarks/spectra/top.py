"""Top eigenvalues and one product, beside power iteration and double backward passes; the trace in 4 GiB."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.goal import bounded, compared, machine_state
from benchmarks.process import own_process
from benchmarks.sidebyside import Side, compare, unchecked
from benchmarks.small_networks import batch, mlp3
from linnet.core.jacobian.losses import LOSSES
from linnet.models import MLP
from linnet.results import Record
from linnet.spectra import fisher, ntk
from linnet.spectra.kernel_engine import MEMORY
from linnet.spectra.rows.jacobian_rows import JacobianRows

CLASSES, TOLERANCE = 10, 1e-3


def measure(*, quick: bool) -> list[Record]:
    """The ten largest eigenvalues and one product."""
    torch.manual_seed(0)
    model, x = mlp3(64 if quick else 512), batch((784,), 20 if quick else 100)[0]
    return [_top(model, x, quick=quick), _product(model, x)]


def products(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """F v as PyHessian multiplies: a kept graph of the gradient, one more backward pass; the loss is half squares at
    0."""
    parameters = list(model.parameters())
    f = model(x)
    value = (f - f.detach()).square().sum() / (2 * len(x))
    gradients = torch.autograd.grad(value, parameters, create_graph=True)
    sizes = [p.numel() for p in parameters]

    def product(v: Tensor) -> Tensor:
        along = [part.view_as(p) for part, p in zip(v.split(sizes), parameters, strict=True)]
        found = torch.autograd.grad(gradients, parameters, along, retain_graph=True)
        return torch.cat([g.flatten() for g in found])

    return product


def power_iteration(product: Callable[[Tensor], Tensor], size: int, count: int, tolerance: float, most: int) -> Tensor:
    """One vector at a time, made orthogonal to those found, until its residual is small: PyHessian's way."""
    generator = torch.Generator().manual_seed(0)
    found: list[Tensor] = []
    values: list[float] = []
    for _ in range(count):
        v = torch.randn(size, generator=generator)
        value = 0.0
        for _ in range(most):
            for known in found:
                v = v - (known @ v) * known
            v = v / v.norm()
            w = product(v)
            value = float(v @ w)
            if float((w - value * v).norm()) <= tolerance * max(values[0] if values else value, 1e-30):
                break
            v = w
        found.append(v / v.norm())
        values.append(value)
    return torch.tensor(values)


def _top(model: nn.Module, x: Tensor, *, quick: bool) -> Record:
    count, most = (3, 20) if quick else (CLASSES, 100)
    product, size = products(model, x), sum(p.numel() for p in model.parameters())
    found = compare(
        Side("linnet", lambda: fisher(model, x).top(count, tolerance=TOLERANCE), unchecked),
        Side("power iteration", lambda: power_iteration(product, size, count, TOLERANCE, most), unchecked),
        pairs=3,
    )
    context = {
        "what": f"the {count} largest eigenvalues to a residual of {TOLERANCE:g} of the largest (the peer stops after "
        f"{most} products each), MLP of {size:,} parameters, N = {len(x)}; linnet takes all {len(x) * CLASSES} on "
        "the way",
        "beside": "power iteration as in PyHessian",
        "goal": ">= 10x faster",
        "least": 10.0,
    }  # fmt: skip
    return compared("spectra.top", found, found.speed_ratio, found.interval, context=context | machine_state())


def _product(model: nn.Module, x: Tensor) -> Record:
    """One product with captured rows, beside one backward pass through a kept graph; the same matrix, two spaces."""
    theirs = products(model, x)
    size = sum(p.numel() for p in model.parameters())
    v = torch.randn(size, generator=torch.Generator().manual_seed(0))
    with JacobianRows(model, x, LOSSES["mse"].root, memory=MEMORY) as rows:
        u = rows.push(dict(zip([n for n, _ in model.named_parameters()], _split(model, v), strict=True)))
        pulled = torch.cat([p.flatten() for p in rows.pull(u).values()]) / len(x)
        error = float((pulled - theirs(v)).norm() / pulled.norm())
        assert error < 1e-3, error
        found = compare(
            Side("linnet", lambda: rows.product(u), unchecked),
            Side("double backward", lambda: theirs(v), unchecked),
            pairs=7,
        )
    context = {
        "what": f"one product with F, MLP of {size:,} parameters, N = {len(x)} (results agree to {error:.0e})",
        "beside": "a backward pass through the kept graph of the gradient (PyHessian's product)",
        "goal": ">= 3x faster",
        "least": 3.0,
    }
    return compared("spectra.product", found, found.speed_ratio, found.interval, context=context | machine_state())


def _split(model: nn.Module, v: Tensor) -> list[Tensor]:
    parameters = list(model.parameters())
    return [part.view_as(p) for part, p in zip(v.split([p.numel() for p in parameters]), parameters, strict=True)]


def trace(*, quick: bool) -> list[Record]:
    """The kernel of 10,000 digits, traced over the outputs, in bounded memory."""
    found = own_process(trace_call, 200 if quick else 10_000, peak="process")
    record = bounded(
        "spectra.trace",
        f"peak memory of ntk(outputs='trace') on {'200' if quick else '10,000'} MNIST-sized digits, MLP "
        "784-256-256-10, 2 "
        f"draws, {found.wall_s:.0f} s",
        found.peak_bytes / 2**30,
        bound=4.0,
        goal="<= 4 GiB",
        beside="the budget",
        unit="GiB",
    )  # fmt: skip
    return [record]


def trace_call(samples: int) -> Callable[[], object]:
    """The call that is measured."""
    torch.manual_seed(0)
    model = MLP(input_shape=(1, 28, 28)).eval()
    x = batch((1, 28, 28), samples)[0]

    def run() -> None:
        ntk(model, x, outputs="trace", draws=2)

    return run
