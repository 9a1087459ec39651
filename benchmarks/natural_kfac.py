"""K-FAC: a mean step at two pairs of periods beside SGD, factors beside curvlinops, inverses beside eigenvectors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import missing, time_ratio
from benchmarks.natural_nets import batch, mlp3, resnet18
from benchmarks.sidebyside import Comparison, Side
from linnet.core.layer_jacobian import RuleTerm
from linnet.core.linearise import Linearisation
from linnet.core.matrix_layers import MatrixRule
from linnet.optim import NaturalGradient
from linnet.optim.damped_inverse import invert
from linnet.optim.losses import LOSSES
from linnet.results import Record

PERIODS = {(10, 100): 1.10, (1, 10): 1.6}
REASONS = {
    "mlp": "two products with the inverses cost I O (I + O) MACs a layer and step, the SGD step 3 N I O: "
    "a share of (I + O) / (3 N), which no period makes smaller",
    "resnet": "the products with the inverses take (I + O) / (3 N S) of a step, most in the last stage, whose maps are "
    "small; the factors of 3 x 3 kernels take 1.5 forwards of 13 autocorrelations and the pass through activations 1",
}

PEER_REASON = (
    "both run one forward and one backward of the network, which no factor makes faster; strided and 1 x 1 kernels and "
    "maps of 4 x 4 still go through patches and full products"
)


def measure(*, quick: bool) -> list[Record]:
    """The rows of K-FAC."""
    width, samples, rounds = (
        (4, 16, 3) if quick else (16, 32, 3)  # not 64 and 128: half a minute a step on 2 cores
    )  # of 64 and 128: a step of those takes half a minute on 2 cores
    records = _overheads("mlp", mlp3(64 if quick else 512), batch((784,), 64 if quick else 512), rounds=3 * rounds)
    records += _overheads("resnet", resnet18(width), batch((3, 32, 32), samples), rounds=rounds)
    records += _factors(width, samples, pairs=rounds)
    return [*records, _inverse(quick=quick)]


def _overheads(name: str, model: nn.Module, data: tuple[Tensor, Tensor], *, rounds: int) -> list[Record]:
    """Mean K-FAC step over SGD step, from steps of each kind timed in turns."""
    kinds = _time_kinds(model, data, rounds)
    records = []
    for (factor_every, inverse_every), goal in PERIODS.items():
        means = [
            plain + (factor - plain) / factor_every + (inverse - factor) / inverse_every
            for plain, factor, inverse in zip(kinds["plain"], kinds["factor"], kinds["inverse"], strict=True)
        ]
        result = Comparison("K-FAC", "SGD", tuple(means), tuple(kinds["sgd"]))
        ratio, (lo, hi) = 1 / result.speed_ratio, result.interval
        context = {
            "what": f"K-FAC step, {name} of {sum(p.numel() for p in model.parameters()):,} parameters, batch "
            f"{len(data[1])}, factors every {factor_every}, inverses every {inverse_every}",
            "beside": "SGD with momentum",
            "goal": f"<= {goal:g}x",
            "bound": goal,
            "threads": torch.get_num_threads(),
        }
        if ratio > goal:
            context["reason"] = REASONS[name]
        key = f"natural.kfac.{name}.every_{factor_every}_{inverse_every}"
        records.append(
            Record.measured(
                key, ratio, unit="x", n=rounds, interval=(1 / hi, 1 / lo), level=0.95, rng_seed=0, context=context
            )
        )
    return records


def _time_kinds(model: nn.Module, data: tuple[Tensor, Tensor], rounds: int) -> dict[str, list[float]]:
    """Seconds of an SGD step and of K-FAC's three kinds of steps, in turns."""
    x, y = data
    torch.manual_seed(0)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    kfac = {
        kind: NaturalGradient(
            model, "cross_entropy", "kfac", fisher="sampled", damping=1e-2, lr=1e-3, momentum=0.9,
            factor_every=factors, inverse_every=inverses,
        )
        for kind, (factors, inverses) in {"plain": (10**9, 10**9), "factor": (1, 10**9), "inverse": (1, 1)}.items()
    }  # fmt: skip

    def step(optimizer: torch.optim.Optimizer) -> float:
        for other in kfac.values():
            other._approximation.listening = other is optimizer
        begin = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        return time.perf_counter() - begin

    sides: dict[str, torch.optim.Optimizer] = {"sgd": sgd, **kfac}
    for optimizer in sides.values():
        step(optimizer)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, optimizer in sides.items():
            times[name].append(step(optimizer))
    return times


def _factors(width: int, samples: int, *, pairs: int) -> list[Record]:
    """All Kronecker factors of a ResNet-18 shape: beside its gradient, and beside curvlinops."""
    model, (x, y) = resnet18(width).eval(), batch((3, 32, 32), samples)
    loss = LOSSES["cross_entropy"]
    generator = torch.Generator().manual_seed(0)

    def gradient() -> object:
        return torch.autograd.grad(cross_entropy(model(x), y), list(model.parameters()))

    def ours() -> object:
        with Linearisation(model) as linear:
            f = linear.forward(x)
            layers = linear.rows(loss.draw(f.detach(), generator))
        terms = [t for layer in layers for t in layer.terms.values() if isinstance(t, RuleTerm) and t.param == "weight"]
        matrices = [t for t in terms if isinstance(t.rule, MatrixRule)]
        return [t.rule.factors(t.module, t.uses, homogeneous=False, sharing="expand") for t in matrices]

    what = f"all factors (1 sample of the labels), ResNet-18 shape of width {width}, batch {samples}"
    same: Callable[[object], int] = lambda _: 0  # noqa: E731
    records = [
        _explained(
            time_ratio(
                "natural.kfac.factors_beside_gradient",
                f"{what}, forward included",
                Side("ours", ours, same),
                Side("forward + gradient", gradient, same),
                goal=1.5,
                pairs=pairs,
            ),
            REASONS["resnet"],
        )
    ]
    peer = "natural.kfac.factors_beside_curvlinops"
    if find_spec("curvlinops") is None:
        return [*records, missing(peer, what, goal=0.5, beside="curvlinops KFAC", reason="not installed")]
    from curvlinops import KFACLinearOperator

    parameters = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    def theirs() -> object:
        operator = KFACLinearOperator(
            model, nn.CrossEntropyLoss(), parameters, [(x, y)], check_deterministic=False, num_data=len(x),
            num_per_example_loss_terms=1,
        )  # fmt: skip
        return operator.compute_kronecker_factors()

    row = time_ratio(peer, what, Side("ours", ours, same), Side("curvlinops KFAC", theirs, same), goal=0.5, pairs=pairs)
    return [*records, _explained(row, PEER_REASON)]


def _inverse(*, quick: bool) -> Record:
    """One damped inverse beside an eigendecomposition of the same matrix."""
    size = 64 if quick else 576
    rows = torch.randn(1, size, 2 * size, generator=torch.Generator().manual_seed(0))
    matrix, rho = rows @ rows.mT / (2 * size), torch.full((1,), 1e-2)
    exact = torch.linalg.inv(matrix.double() + 1e-2 * torch.eye(size, dtype=torch.float64))
    found = invert(matrix, rho).matrix
    error = float((found - exact).norm() / exact.norm())
    assert error < 1e-3, error
    same: Callable[[object], int] = lambda _: 0  # noqa: E731
    return time_ratio(
        "natural.kfac.inverse_beside_eigh",
        f"damped inverse of a {size} x {size} factor (relative error {error:.0e})",
        Side("Cholesky", lambda: invert(matrix, rho), same),
        Side("eigenvectors", lambda: torch.linalg.eigh(matrix), same),
        goal=0.5,
        pairs=5,
    )


def _explained(record: Record, reason: str) -> Record:
    if record.value is None or record.value <= float(record.context["bound"]):
        return record
    return replace(record, context={**record.context, "reason": reason})
