"""Inverses of factors: both forms, the pseudo-inverse at 0, and every way out where Cholesky fails."""

import pytest
import torch

from linnet.optim.natural.kronecker.damped_inverse import invert, invert_vectors
from linnet.optim.natural.kronecker.kronecker_block import packed, unpacked


def vectors(groups=2, size=6, count=4):
    torch.manual_seed(0)
    return torch.randn(groups, size, count, dtype=torch.float64)


def identity(m):
    return torch.eye(m.shape[-1], dtype=m.dtype)


@pytest.mark.parametrize("count", [4, 9])
def test_both_forms_are_the_inverse_with_a_damping_for_each_group(count):
    x, rho = vectors(count=count), torch.tensor([0.1, 2.0], dtype=torch.float64)
    m = x @ x.mT / 3
    expected = torch.linalg.inv(m + rho.view(2, 1, 1) * identity(m))
    right = torch.randn(2, 6, 5, dtype=torch.float64)
    for found in (invert(m, rho), invert_vectors(x, 3, rho)):
        torch.testing.assert_close(found.times(right), expected @ right, rtol=1e-11, atol=1e-11)
        again = unpacked(packed(found))
        assert torch.equal(again.times(right), found.times(right))
        assert (again.route, again.rank) == (found.route, found.rank)


def test_at_0_both_are_the_pseudo_inverse_and_know_the_rank():
    x, rho = vectors(), torch.zeros(2, dtype=torch.float64)
    m = x @ x.mT / 3
    for found in (invert(m, rho), invert_vectors(x, 3, rho)):
        torch.testing.assert_close(found.times(identity(m).expand(2, 6, 6)), torch.linalg.pinv(m, rtol=1e-10))
        assert found.rank == 4


def test_a_singular_matrix_in_float32_goes_through_float64():
    x = torch.ones(1, 40, 1)
    found = invert(1e4 * x @ x.mT, torch.full((1,), 1e-5))
    assert found.route in ("Cholesky", "Cholesky in float64 with jitter", "eigenvectors after Cholesky failed")
    assert bool(torch.isfinite(found.matrix).all())


def test_an_indefinite_matrix_is_cut_and_says_so():
    found = invert(torch.diag(torch.tensor([2.0, -1.0, 1.0]))[None], torch.full((1,), 0.5))
    assert found.route == "eigenvectors after Cholesky failed"
    torch.testing.assert_close(found.matrix[0].diagonal(), torch.tensor([1 / 2.5, 1 / 0.5, 1 / 1.5]))


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_what_isnt_finite_is_an_arithmetic_error(rho):
    m = torch.full((1, 3, 3), float("nan"))
    with pytest.raises(ArithmeticError, match="NaN"):
        invert(m, torch.full((1,), rho))
    with pytest.raises(ArithmeticError, match="NaN"):
        invert_vectors(m, 3, torch.full((1,), rho))
