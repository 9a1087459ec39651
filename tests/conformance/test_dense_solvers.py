"""Damped solves and Kronecker products against dense definitions."""

import re

import pytest
import torch

from linnet.errors import InputError
from tests.dense_solvers import (
    KroneckerSolver,
    damped_least_squares,
    factored_damping,
    kronecker_product,
    kronecker_solve,
    solve,
)

F64 = torch.float64


def psd(n, rank=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, rank or n, dtype=F64, generator=generator)
    return root @ root.T


def normal(*shape, seed=9):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def assert_close(actual, expected, bound=1e-10):
    error = float((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-300))
    assert error <= bound, f"off by {error:.3g}"


def test_the_row_major_convention_by_hand():
    g, a = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [5.0, 0.0, 0.0]])
    v = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(kronecker_product(g, a, v).flatten(), torch.kron(g, a) @ v.flatten())


def test_the_convention_test_sees_a_column_major_product():
    g, a, v = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.eye(2), torch.arange(4.0).reshape(2, 2)
    assert not torch.equal((g @ v @ a).T.flatten(), torch.kron(g, a) @ v.flatten())


@pytest.mark.parametrize("damping", [1e-8, 1e-3, 1.0, 100.0])
def test_the_product_damping_is_exact(damping):
    a, g, v = psd(5, seed=1), psd(3, seed=2), normal(3, 5)
    dense = torch.kron(g, a) + damping * torch.eye(15, dtype=F64)
    expected = torch.linalg.solve(dense, v.flatten()).reshape(3, 5)
    assert_close(kronecker_solve(a, g, v, damping=damping), expected, 1e-9)
    batch = torch.stack([v, 2 * v])
    assert_close(KroneckerSolver.of(a, g).solve(batch, damping=damping), torch.stack([expected, 2 * expected]), 1e-9)


def test_damping_zero_is_the_pseudo_inverse():
    a, g, v = psd(5, rank=2, seed=3), psd(3, rank=1, seed=4), normal(3, 5)
    expected = (torch.linalg.pinv(torch.kron(g, a), hermitian=True, rtol=1e-12) @ v.flatten()).reshape(3, 5)
    assert_close(kronecker_solve(a, g, v, damping=0.0), expected)


def test_factored_damping_damps_the_factors():
    a, g, v = psd(5, seed=5), 7 * psd(3, seed=6), normal(3, 5)
    for_a, for_g = factored_damping(a, g, damping=0.01)
    pi = (a.trace() / 5 / (g.trace() / 3)).sqrt()
    assert for_a == pytest.approx(float(pi * 0.1))
    assert for_g == pytest.approx(float(0.1 / pi))
    dense = torch.kron(g + for_g * torch.eye(3, dtype=F64), a + for_a * torch.eye(5, dtype=F64))
    expected = torch.linalg.solve(dense, v.flatten()).reshape(3, 5)
    assert_close(kronecker_solve(a, g, v, damping=0.01, damped="factors"), expected, 1e-9)
    exact = kronecker_solve(a, g, v, damping=0.01)
    assert not torch.allclose(exact, expected, rtol=1e-3)
    assert_close(kronecker_solve(a, g, v, damping=0.0, damped="factors"), kronecker_solve(a, g, v, damping=0.0))


@pytest.mark.parametrize("shape", [(6,), (6, 2), (3, 6, 2)])
@pytest.mark.parametrize("damping", [0.5, 0.0])
def test_solve_is_the_dense_solution(shape, damping):
    matrix, right = psd(6, seed=7), normal(*shape)
    dense = matrix + damping * torch.eye(6, dtype=F64)
    expected = torch.linalg.solve(dense, right)
    assert_close(solve(matrix, right, damping=damping), expected, 1e-9)
    assert solve(matrix.float(), right.float(), damping=damping).dtype is torch.float32


def test_solve_at_zero_drops_what_is_below_the_cut():
    values = torch.tensor([1.0, 1e-3, 1e-17], dtype=F64)
    assert solve(values.diag(), torch.ones(3, dtype=F64), damping=0.0).tolist() == pytest.approx([1.0, 1000.0, 0.0])


def test_an_indefinite_matrix_is_refused_with_a_damping_that_would_do():
    matrix = torch.diag(torch.tensor([2.0, -0.75, 1.0], dtype=F64))
    with pytest.raises(InputError, match=r"-0\.75.*damping") as caught:
        solve(matrix, torch.ones(3), damping=0.5)
    found = re.search(r"\b(0\.\d{3,})", str(caught.value))
    assert found is not None
    enough = float(found.group(1))
    assert 0.75 < enough < 0.77
    assert torch.isfinite(solve(matrix, torch.ones(3), damping=enough)).all()
    with pytest.raises(InputError, match=r"-1\.5"):
        KroneckerSolver.of(matrix, torch.diag(torch.tensor([1.0, 2.0]))).solve(torch.ones(2, 3), damping=0.1)


@pytest.mark.parametrize(("rows", "columns"), [(4, 9), (9, 4), (5, 5)])
@pytest.mark.parametrize("damping", [0.3, 0.0])
def test_least_squares_are_the_same_from_either_side(rows, columns, damping):
    jacobian, v = normal(rows, columns, seed=10), normal(rows, 2, seed=11)
    samples = 3
    if damping:
        dense = jacobian.T @ jacobian / samples + damping * torch.eye(columns, dtype=F64)
        expected = torch.linalg.solve(dense, jacobian.T @ v)
    else:
        expected = samples * torch.linalg.pinv(jacobian) @ v
    assert_close(damped_least_squares(jacobian, v, damping=damping, samples=samples), expected, 1e-9)
    assert_close(damped_least_squares(jacobian, v[:, 0], damping=damping, samples=samples), expected[:, 0], 1e-9)
    assert_close(
        damped_least_squares(jacobian, v, damping=0.3), damped_least_squares(jacobian, v, damping=0.3, samples=rows)
    )


def test_bad_input_says_what_is_needed():
    eye = torch.eye(2)
    cases = [
        (lambda: solve(torch.ones(2, 3), eye, damping=1.0), r"`matrix`.*\(2, 3\)"),
        (lambda: solve(eye * float("nan"), eye, damping=1.0), "`matrix`.*NaN"),
        (lambda: solve(eye, eye, damping=-1.0), r"`damping`.*-1\.0"),
        (lambda: kronecker_solve(eye, eye, eye, damping=float("inf")), "`damping`.*inf"),
        (lambda: kronecker_solve(eye, eye, eye, damping=1.0, damped="both"), "`damped`"),
        (lambda: KroneckerSolver.of(torch.ones(2), eye), r"`a`.*\(2,\)"),
        (lambda: factored_damping(0 * eye, eye, damping=1.0), "damped='product'"),
        (lambda: damped_least_squares(eye, torch.ones(3), damping=1.0), "`v`.*3"),
        (lambda: damped_least_squares(eye, torch.ones(2), damping=1.0, samples=0), "`samples`"),
    ]
    for call, words in cases:
        with pytest.raises(InputError, match=words):
            call()
