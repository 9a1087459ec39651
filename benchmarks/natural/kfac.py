"""K-FAC: a mean step at two pairs of periods beside SGD, factors beside curvlinops, inverses beside eigenvectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import about, compared, machine_state, missing, time_ratio
from benchmarks.natural.parts import explained, passes, shares
from benchmarks.sidebyside import Comparison, Side, in_turns, unchecked
from benchmarks.small_networks import batch, mlp3
from linnet.core.capture.layers.matrix import MatrixRule
from linnet.core.jacobian.linearisation import Linearisation
from linnet.core.jacobian.losses import LOSSES
from linnet.core.jacobian.parameter_rows import RuleTerm
from linnet.optim import NaturalGradient
from linnet.optim.natural.kronecker.damped_inverse import invert
from linnet.results import Record
from papers.resnet18 import ResNet18

PEER_REASON = (
    "both run one forward and one backward of the network, which no factor makes faster; strided and 1 x 1 kernels and "
    "maps of 4 x 4 still go through patches"
)
PERIODS = {(10, 100): 1.10, (1, 10): 1.6}


def measure(*, quick: bool) -> list[Record]:
    """The rows of K-FAC."""
    width, samples, rounds = (4, 16, 3) if quick else (16, 32, 5)  # 64 and 128 take half a minute a step on 2 cores
    mlp = mlp3(64 if quick else 512)
    records = _overheads("mlp", mlp, batch((784,), 64 if quick else 512), rounds=2 * rounds + 1)
    records += _overheads("mlp_large_batch", mlp, batch((784,), 128 if quick else 4096), rounds=rounds)
    records += _overheads("resnet", ResNet18(width=width), batch((3, 32, 32), samples), rounds=rounds)
    records += _factors(width, samples, pairs=rounds)
    return [*records, _inverse(quick=quick)]


def _overheads(name: str, model: nn.Module, data: tuple[Tensor, Tensor], *, rounds: int) -> list[Record]:
    """Mean K-FAC step over SGD step, from steps of each kind timed in turns."""
    kinds = in_turns(_sides(model, data), rounds)
    alone = shares(kinds, "SGD")
    a_pass = alone["forward and pass"] - alone["forward"]
    records = []
    for (factor_every, inverse_every), goal in PERIODS.items():
        means = [
            plain + (factor - plain) / factor_every + (inverse - factor) / inverse_every
            for plain, factor, inverse in zip(kinds["plain"], kinds["factor"], kinds["inverse"], strict=True)
        ]
        found = Comparison("K-FAC", "SGD", tuple(means), tuple(kinds["SGD"]))
        what = (
            f"K-FAC step, {name.replace('_', ' ')}, {sum(p.numel() for p in model.parameters()):,} parameters, "
            f"batch {len(data[1])}, factors every {factor_every}, inverses every {inverse_every}"
        )
        context = about(what, "SGD with momentum", f"<= {goal:g}x", goal) | machine_state()
        row = f"natural.kfac.{name}.every_{factor_every}_{inverse_every}"
        record = compared(row, found, found.time_ratio, found.time_interval, context=context)
        parts = {
            "the SGD step itself": 1.0,
            "two products with the inverses a layer": alone["products"],
            f"1/{factor_every} of a pass through activations": a_pass / factor_every,
            f"1/{inverse_every} of all Cholesky inverses": alone["inverses"] / inverse_every,
        }
        more = f"; the factors of one step, {alone['factor'] - alone['plain'] - a_pass:.2g}x, not counted"
        records.append(explained(record, parts, "of an SGD step", more))
    return records


def _sides(model: nn.Module, data: tuple[Tensor, Tensor]) -> dict[str, Callable[[], object]]:
    """An SGD step, K-FAC's three kinds of steps, and the parts that no K-FAC step can do without."""
    x, y = data
    torch.manual_seed(0)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    kfac = {
        kind: NaturalGradient(
            model, "cross_entropy", "kfac", fisher="sampled", damping=1e-2, lr=1e-3, momentum=0.9,
            factor_every=factors, inverse_every=inverses, dense_start=False, kl_clip=None,
        )
        for kind, (factors, inverses) in {"plain": (10**9, 10**9), "factor": (1, 10**9), "inverse": (1, 1)}.items()
    }  # fmt: skip

    def step(optimizer: torch.optim.Optimizer) -> None:
        for other in kfac.values():
            other._approximation.listening = other is optimizer
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    def alone(run: Callable[[], object]) -> None:
        for other in kfac.values():
            other._approximation.listening = False
        run()

    sides: dict[str, Callable[[], object]] = {"SGD": lambda: step(sgd)}
    sides |= {kind: partial(step, optimizer) for kind, optimizer in kfac.items()}
    return sides | {name: partial(alone, run) for name, run in _bare(model, x).items()}


def _bare(model: nn.Module, x: Tensor) -> dict[str, Callable[[], object]]:
    """The parts as bare torch calls: products with inverses, a pass through activations, Cholesky inverses."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    shapes = [cast(Tensor, m.weight).flatten(1).shape for m in layers]
    pairs = [(torch.eye(o), torch.zeros(o, i), torch.eye(i)) for o, i in shapes]
    return {
        "products": lambda: [b @ v @ a for b, v, a in pairs],
        "forward": lambda: model(x),
        "forward and pass": passes(model, x, 1),
        "inverses": lambda: [
            torch.cholesky_inverse(torch.linalg.cholesky_ex(m).L) for b, _, a in pairs for m in (a, b)
        ],
    }


def _factors(width: int, samples: int, *, pairs: int) -> list[Record]:
    """All Kronecker factors of a ResNet-18 shape: beside its gradient, and beside curvlinops."""
    model, (x, y) = ResNet18(width=width).eval(), batch((3, 32, 32), samples)
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
    row = time_ratio(
        "natural.kfac.factors_beside_gradient",
        f"{what}, forward included",
        Side("ours", ours, unchecked),
        Side("forward + gradient", gradient, unchecked),
        goal=1.5,
        pairs=pairs,
    )
    sides = {"gradient": gradient, "pass": _bare(model, x)["forward and pass"]}
    alone = shares(in_turns(sides, pairs), "gradient")
    parts = {"the forward and the pass through activations": alone["pass"]}
    more = ", before any factor; the factors' own products are about as many MACs as the gradient's"
    records = [explained(row, parts, "of forward and gradient", more)]
    peer = "natural.kfac.factors_beside_curvlinops"
    if find_spec("curvlinops") is None:
        return [*records, missing(peer, what, goal=0.5, beside="curvlinops KFAC", reason="not installed")]
    from curvlinops import KFACLinearOperator

    parameters = [cast(nn.Parameter, m.weight) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    def theirs() -> object:
        operator = KFACLinearOperator(
            model, nn.CrossEntropyLoss(), parameters, [(x, y)], check_deterministic=False, num_data=len(x),
            num_per_example_loss_terms=1,
        )  # fmt: skip
        return operator.compute_kronecker_factors()

    row = time_ratio(
        peer, what, Side("ours", ours, unchecked), Side("curvlinops KFAC", theirs, unchecked), goal=0.5, pairs=pairs,
        reason=PEER_REASON,
    )  # fmt: skip
    return [*records, row]


def _inverse(*, quick: bool) -> Record:
    """One damped inverse beside an eigendecomposition of the same matrix."""
    size = 64 if quick else 576
    rows = torch.randn(1, size, 2 * size, generator=torch.Generator().manual_seed(0))
    matrix, rho = rows @ rows.mT / (2 * size), torch.full((1,), 1e-2)
    exact = torch.linalg.inv(matrix.double() + 1e-2 * torch.eye(size, dtype=torch.float64))
    found = invert(matrix, rho).matrix
    error = float((found - exact).norm() / exact.norm())
    assert error < 1e-3, error
    return time_ratio(
        "natural.kfac.inverse_beside_eigh",
        f"damped inverse of a {size} x {size} factor (relative error {error:.0e})",
        Side("Cholesky", lambda: invert(matrix, rho), unchecked),
        Side("eigenvectors", lambda: torch.linalg.eigh(matrix), unchecked),
        goal=0.5,
        pairs=5,
    )
