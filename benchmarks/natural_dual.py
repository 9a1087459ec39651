"""Exact natural gradient in the dual: its step beside SGD's, and what it keeps beside the formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import bounded, time_ratio
from benchmarks.natural_nets import batch, mlp3, small_cnn
from benchmarks.sidebyside import Side
from linnet.core import Capture
from linnet.optim import NaturalGradient
from linnet.results import Record

CLASSES = 10
REASON = (
    "the C passes through the activations are one forward each, but the n x n Gram matrices of every layer and the "
    "float64 solve, n = N C, aren't small beside an SGD step of so small a network"
)


def measure(*, quick: bool) -> list[Record]:
    """The rows of the exact step."""
    samples, pairs = (16, 3) if quick else (128, 5)
    nets: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "mlp": (mlp3(64 if quick else 512), (784,)),
        "cnn": (small_cnn(), (1, 28, 28)),
    }
    records = []
    for name, (model, shape) in nets.items():
        data = batch(shape, samples)
        for fisher, goal in (("model", (2 + CLASSES) / 3 * 1.2), ("sampled", 2.0)):
            records.append(_step(name, model, data, fisher, goal, pairs))
    return [*records, _kept(*nets["mlp"], samples)]


def _step(name: str, model: nn.Module, data: tuple[Tensor, Tensor], fisher: str, goal: float, pairs: int) -> Record:
    x, y = data
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3)
    exact = NaturalGradient(
        model, "cross_entropy", "exact", fisher=fisher, damping=1e-2, lr=1e-3, isotropy_every=0
    )  # fmt: skip

    def plain() -> None:
        sgd.zero_grad()
        cross_entropy(model(x), y).backward()
        sgd.step()
        sgd.zero_grad()

    same: Callable[[object], int] = lambda _: 0  # noqa: E731
    row = time_ratio(
        f"natural.exact.{name}.{fisher}",
        f"exact step, fisher={fisher!r}, {name}, N = {len(y)}, C = {CLASSES}",
        Side("exact", lambda: exact.step(x, y), same),
        Side("SGD", plain, same),
        goal=goal,
        pairs=pairs,
    )
    if row.value is None or row.value <= goal:
        return row
    return replace(row, context={**row.context, "reason": REASON})


def _kept(model: nn.Module, shape: tuple[int, ...], samples: int) -> Record:
    """Bytes of the kept (a, g) over N sum I + n sum O."""
    x, _ = batch(shape, samples)
    with Capture(model, keep="all") as cap:
        f = model(x)
        for number in range(CLASSES):
            torch.autograd.grad(f[:, number].sum(), cap.edges, retain_graph=True, allow_unused=True)
        kept = cap.bytes
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    formula = sum(samples * m.in_features + samples * CLASSES * m.out_features for m in layers) * 4
    return bounded(
        "natural.exact.kept_bytes",
        f"bytes of (a, g) kept by the exact step, mlp, N = {samples}, C = {CLASSES}: {kept:,}",
        kept / formula,
        bound=1.05,
        goal="<= 1.05x",
        beside="N sum I + n sum O",
        unit="x",
    )
