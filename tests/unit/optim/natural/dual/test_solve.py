"""A solve by a float32 factor is as accurate as one in float64, or isn't taken."""

import pytest
import torch

from linnet.optim.natural.dual import solve as solving
from linnet.optim.natural.dual.solve import Regular, solve_dual


def gram(n: int, smallest: float) -> torch.Tensor:
    basis, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    return (basis * torch.logspace(0, smallest, n, dtype=torch.float64)) @ basis.T


@pytest.mark.parametrize("smallest", [-1.0, -4.0])
def test_refinement_reaches_float64(smallest, monkeypatch):
    monkeypatch.setattr(solving, "_LARGE", 1)
    matrix, right = gram(60, smallest), torch.randn(60, dtype=torch.float64)
    found = solve_dual(matrix, right, Regular(1e-5, 1e-10), of="The network")
    expected = torch.linalg.solve(matrix + 1e-5 * torch.eye(60, dtype=torch.float64), right)
    assert found.route == "Cholesky in float32, refined to float64"
    assert float((found.v - expected).norm() / expected.norm()) < 1e-11  # 60 eps times a condition of 1e4


def test_what_float32_cannot_factor_is_factored_in_float64(monkeypatch):
    monkeypatch.setattr(solving, "_LARGE", 1)
    matrix, right = gram(60, -14.0), torch.randn(60, dtype=torch.float64)
    found = solve_dual(matrix, right, Regular(1e-11, 1e-10), of="The network")
    assert found.route == "Cholesky, float64"
    residual = matrix @ found.v + 1e-11 * found.v - right
    assert float(residual.norm() / right.norm()) < 1e-4


def test_nan_is_found_on_the_diagonal():
    matrix = gram(4, -1.0)
    matrix[2, 2] = torch.nan
    with pytest.raises(ArithmeticError, match="NaN"):
        solve_dual(matrix, torch.ones(4, dtype=torch.float64), Regular(1e-3, 1e-10), of="The network")
