"""R R^T is the loss's Hessian in the outputs, R u its gradient; R has no null direction."""

import pytest
import torch

from linnet.core.jacobian.losses import LOSSES


@pytest.mark.parametrize(("loss", "rank"), [("mse", 4), ("cross_entropy", 3)])
def test_root_and_coordinates(loss, rank):
    f = 3 * torch.randn(5, 4, dtype=torch.float64)
    y = torch.randn(5, 4, dtype=torch.float64) if loss == "mse" else torch.tensor([0, 1, 2, 3, 3])
    one = LOSSES[loss]
    root, r = one.root(f), one.residual(f, y)
    assert root.shape == (rank, 5, 4)
    u = one.coordinates(f, r)
    torch.testing.assert_close(torch.einsum("knc,nk->nc", root, u), r)
    for n in range(5):
        hessian = torch.autograd.functional.hessian(lambda z, n=n: one.value(z[None], y[n : n + 1]), f[n])
        torch.testing.assert_close(root[:, n].T @ root[:, n], hessian)
        assert int(torch.linalg.matrix_rank(root[:, n])) == rank


def test_probabilities_of_0_and_1_stay_finite():
    f, one = torch.tensor([[200.0, 0.0, -200.0], [0.0, 0.0, 300.0]]), LOSSES["cross_entropy"]
    r = one.residual(f, torch.tensor([1, 0]))
    assert bool(torch.isfinite(one.root(f)).all())
    assert bool(torch.isfinite(one.coordinates(f, r)).all())
