"""Block Lanczos finds clustered top eigenvalues, its residuals bound the error, and it never fails in silence."""

import pytest
import torch

from linnet.core.linalg.block_lanczos import block_lanczos
from linnet.errors import InputError

VALUES = torch.cat([torch.tensor([100.0, 100.0, 99.999, 99.9]), torch.linspace(5, 0.1, 76)]).double()


def matrix() -> torch.Tensor:
    q = torch.linalg.qr(torch.randn(80, 80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    return (q * VALUES) @ q.T


def test_nearly_equal_eigenvalues_are_all_found():
    found = block_lanczos(matrix(), 4)
    torch.testing.assert_close(found.values, VALUES[:4], rtol=1e-9, atol=0)
    torch.testing.assert_close(found.vectors.T @ found.vectors, torch.eye(4).double(), rtol=0, atol=1e-10)
    assert found.products < 60


def test_residuals_bound_the_distance_to_an_eigenvalue():
    a = matrix()
    loose = block_lanczos(lambda v: a @ v, 6, size=80, tolerance=0.2, block=6)
    distance = (loose.values[:, None] - VALUES).abs().min(1).values
    assert bool((distance <= loose.residuals + 1e-12).all())
    torch.testing.assert_close((a @ loose.vectors - loose.vectors * loose.values).norm(dim=0), loose.residuals)


def test_a_good_start_needs_one_block_more_than_none():
    a = matrix()
    start = torch.linalg.eigh(a).eigenvectors[:, -4:]
    assert block_lanczos(a, 4, start=start).products == 4


def test_dependent_vectors_in_the_start_do_no_harm():
    a = matrix()
    start = torch.ones(80, 3).double()
    torch.testing.assert_close(block_lanczos(a, 4, start=start).values, VALUES[:4], rtol=1e-9, atol=0)


def test_a_small_or_singular_matrix_is_exhausted():
    assert block_lanczos(torch.diag(torch.tensor([3.0, 1.0])), 5).values.tolist() == pytest.approx([3.0, 1.0])
    assert block_lanczos(torch.zeros(3, 3), 2).values.tolist() == [0.0, 0.0]


def test_what_hasnt_converged_is_told_with_its_residual():
    with pytest.raises(
        InputError, match=r"6 largest eigenvalues.*within 1 blocks.*got a residual of .*after 6 products"
    ):
        block_lanczos(matrix(), 6, steps=1)
    with pytest.raises(InputError, match="`count` and `steps`"):
        block_lanczos(matrix(), 0)
    with pytest.raises(InputError, match=r"`start`.*length 80"):
        block_lanczos(matrix(), 2, start=torch.ones(79, 1), size=80)
