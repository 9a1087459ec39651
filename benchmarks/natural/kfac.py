"""K-FAC: a mean step at two pairs of periods beside SGD, factors beside curvlinops, inverses beside eigenvectors."""

from __future__ import annotations

from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import missing, time_ratio
from benchmarks.natural.parts import explained, passes, shares
from benchmarks.natural.standard import overheads
from benchmarks.sidebyside import Side, in_turns, unchecked
from benchmarks.small_networks import batch, mlp3
from linnet.core.capture.layers.matrix import MatrixRule
from linnet.core.jacobian.linearisation import Linearisation
from linnet.core.jacobian.losses import LOSSES
from linnet.core.jacobian.parameter_rows import RuleTerm
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
    networks: dict[str, tuple[nn.Module, tuple[Tensor, Tensor], int]] = {
        "mlp": (mlp, batch((784,), 64 if quick else 512), 2 * rounds + 1),
        "mlp_large_batch": (mlp, batch((784,), 128 if quick else 4096), rounds),
        "resnet": (ResNet18(width=width), batch((3, 32, 32), samples), rounds),
    }
    records: list[Record] = []
    for name, (model, data, times) in networks.items():
        records += overheads(f"kfac.{name}", name.replace("_", " "), model, data, PERIODS, rounds=times)[0]
    records += _factors(width, samples, pairs=rounds)
    return [*records, _inverse(quick=quick)]


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
    sides = {"gradient": gradient, "pass": passes(model, x, 1)}
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
