"""Forster's transform: isotropic, unit rows, and a test set by the training matrix."""

import pytest
import torch

from linnet.data import forster
from linnet.errors import InputError


def points(n: int, size: int) -> torch.Tensor:
    return torch.randn(n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 0.7


def test_inputs_become_isotropic_unit_rows():
    done = forster(points(40, 6))
    second = done.inputs.T @ done.inputs
    torch.testing.assert_close(second, 40 / 6 * torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-8)
    torch.testing.assert_close(done.inputs.norm(dim=1), torch.ones(40, dtype=torch.float64))
    assert done.gap < 1e-10
    assert done.steps > 1


def test_the_accumulated_matrix_gives_the_same_inputs_and_takes_a_test_set_along():
    x = points(40, 6)
    done = forster(x)
    torch.testing.assert_close(done(x), done.inputs, rtol=0, atol=1e-10)
    torch.testing.assert_close(done(5 * x[:3]), done.inputs[:3], rtol=0, atol=1e-10)
    assert float((forster(x[:20]).inputs - done(x[:20])).abs().max()) > 1e-2  # another map


def test_the_dtype_stays():
    assert forster(points(12, 3).float()).inputs.dtype == torch.float32


def test_what_cant_be_transformed_is_named():
    with pytest.raises(InputError, match=r"`x`.*\(3, 5\)"):
        forster(points(3, 5))
    x = points(10, 3)
    with pytest.raises(InputError, match=r"`x`.*zero"):
        forster(x * (torch.arange(10) > 0)[:, None])
    with pytest.raises(InputError, match=r"`x`.*rank 2"):
        forster(x * torch.tensor([1.0, 1.0, 0.0]))
    crowded = torch.cat([x[:1].repeat(9, 1), x])
    with pytest.raises(InputError, match=r"`x`.*`tolerance`"):
        forster(crowded, most_steps=50)
