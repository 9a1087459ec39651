"""X X^T by blocks is X X^T."""

import pytest
import torch

from linnet.core.capture import gram as module
from linnet.core.capture.gram import add_rows_gram, mirror, sample_major, self_product


@pytest.mark.parametrize("shape", [(7, 3), (601, 380), (512, 600), (3, 5, 4), (1, 520, 500)])
def test_it_is_the_general_product(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(self_product(x), x @ x.mT, rtol=0, atol=1e-10)


def test_blocks_give_a_symmetric_matrix(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_ROWS", 2)
    monkeypatch.setattr(module, "_LEAST_WORK", 2)
    torch.manual_seed(0)
    for rows in (2, 3, 4, 5, 9):
        x = torch.randn(rows, 6, dtype=torch.float64)
        found = self_product(x.T.contiguous().T)
        torch.testing.assert_close(found, x @ x.T)
        assert torch.equal(found, found.T)


@pytest.mark.parametrize("samples", [1, 7, 700])
def test_rows_are_added_above_the_diagonal_and_mirrored(samples, monkeypatch):
    monkeypatch.setattr(module, "_MIRRORED", 300)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, samples, 3, 5, dtype=torch.float64, generator=generator)
    flat, before = sample_major(rows), torch.ones(2 * samples, 2 * samples, dtype=torch.float64)
    total = before.clone()
    add_rows_gram(total, rows, None)
    torch.testing.assert_close(total.triu(), (before + flat @ flat.T).triu(), rtol=0, atol=1e-10)
    assert torch.equal(mirror(total), total.T)
    torch.testing.assert_close(total, before + flat @ flat.T, rtol=0, atol=1e-10)
    beside = torch.zeros(2 * samples, 2, dtype=torch.float64)
    add_rows_gram(beside, rows, rows[:, :1])
    torch.testing.assert_close(beside, flat @ flat[:2].T, rtol=0, atol=1e-10)
