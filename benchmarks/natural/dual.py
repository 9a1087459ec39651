"""Exact natural gradient in the dual: its step beside SGD's, and what it keeps beside the formula."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import bounded, time_ratio
from benchmarks.natural.parts import explained, passes, shares
from benchmarks.sidebyside import Side, in_turns, unchecked
from benchmarks.small_networks import batch, mlp3, small_cnn
from linnet.core import Capture
from linnet.core.capture.gram import self_product
from linnet.optim import NaturalGradient
from linnet.optim.natural.approximation import Fisher
from linnet.results import Record

CLASSES = 10


def measure(*, quick: bool) -> list[Record]:
    """The rows of the exact step."""
    samples, pairs = (16, 3) if quick else (128, 9)
    nets: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "mlp": (mlp3(64 if quick else 512), (784,)),
        "wide mlp": (mlp3(96 if quick else 2048), (784,)),
        "cnn": (small_cnn(), (1, 28, 28)),
    }
    records = []
    for name, (model, shape) in nets.items():
        data = batch(shape, samples)
        parts = _parts(model, data, 5 if pairs > 5 else pairs)
        goals: dict[Fisher, float] = {"model": (2 + CLASSES) / 3 * 1.2, "sampled": 2.0}
        for fisher, goal in goals.items():
            row = _step(name, model, data, fisher, goal, pairs)
            records.append(explained(row, parts[fisher], "of an SGD step"))
    return [*records, _kept(*nets["mlp"], samples)]


def _sgd(model: nn.Module, data: tuple[Tensor, Tensor]) -> Callable[[], None]:
    x, y = data
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        sgd.zero_grad()
        cross_entropy(model(x), y).backward()
        sgd.step()
        sgd.zero_grad()

    return step


def _step(name: str, model: nn.Module, data: tuple[Tensor, Tensor], fisher: Fisher, goal: float, pairs: int) -> Record:
    x, y = data
    exact = NaturalGradient(
        model, "cross_entropy", "exact", fisher=fisher, damping=1e-2, lr=1e-3, isotropy_every=0
    )  # fmt: skip
    row = time_ratio(
        f"natural.exact.{name.replace(' ', '_')}.{fisher}",
        f"exact step, fisher={fisher!r}, {name} of {sum(p.numel() for p in model.parameters()):,} parameters, "
        f"N = {len(y)}, C = {CLASSES}",
        Side("exact", lambda: exact.step(x, y), unchecked),
        Side("SGD", _sgd(model, data), unchecked),
        goal=goal,
        pairs=pairs,
    )
    torch.manual_seed(0)
    return row


def _parts(model: nn.Module, data: tuple[Tensor, Tensor], rounds: int) -> dict[str, dict[str, float]]:
    """What no exact step can do without, over an SGD step: for "model" and for "sampled"."""
    x, _ = data
    samples = len(x)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]

    def pull() -> object:
        f = model(x)
        return torch.autograd.grad(f.sum(), list(model.parameters()))

    def products(rows: int) -> Callable[[], object]:
        # a linear layer multiplies its output gradients, a convolution's per-sample gradients the larger side's
        wide = [m.out_features if isinstance(m, nn.Linear) else m.weight.numel() for m in layers]
        matrices = [torch.randn(rows, width) for width in wide]
        return lambda: [self_product(matrix) for matrix in matrices]

    def factor(rows: int) -> Callable[[], object]:
        matrix = torch.eye(rows) + torch.ones(rows, rows) / rows
        return lambda: torch.linalg.cholesky_ex(matrix)

    n = samples * (CLASSES - 1)
    one = shares(
        in_turns(
            {
                "SGD": _sgd(model, data),
                "a forward": lambda: model(x),
                "forward and 9 passes through activations": passes(model, x, CLASSES - 1),
                "forward and 2 passes through activations": passes(model, x, 2),
                "half of each product of n rows": products(n),
                "half of each product of 2 N rows": products(2 * samples),
                "the factor in float32": factor(n),
                "forward and backward": pull,
            },
            rounds,
        ),
        "SGD",
    )
    backward = one["forward and backward"] - one["a forward"]
    activations = one["forward and 9 passes through activations"]
    return {
        "model": {
            "forward and 9 passes through activations": activations,
            "half of each product of n rows": one["half of each product of n rows"],
            "the factor in float32": one["the factor in float32"],
            "one backward": backward,
        },
        "sampled": {
            "forward and 2 passes through activations": one["forward and 2 passes through activations"],
            "half of each product of 2 N rows": one["half of each product of 2 N rows"],
            "the weights' half of a backward": backward / 2,
        },
    }


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
