"""X X^T by blocks is X X^T."""

import pytest
import torch

from linnet.core.capture import gram as module
from linnet.core.capture.gram import self_product


@pytest.mark.parametrize("shape", [(7, 3), (601, 380), (512, 600), (3, 5, 4), (1, 520, 500)])
def test_it_is_the_general_product(shape):
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(self_product(x), x @ x.mT, rtol=0, atol=1e-10)


def test_blocks_give_a_symmetric_matrix(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_ROWS", 2)
    monkeypatch.setattr(module, "_LEAST_WORK", 2)
    for rows in (2, 3, 4, 5, 9):
        x = torch.randn(rows, 6, dtype=torch.float64)
        found = self_product(x.T.contiguous().T)
        torch.testing.assert_close(found, x @ x.T)
        assert torch.equal(found, found.T)
