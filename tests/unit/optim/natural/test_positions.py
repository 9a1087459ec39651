"""Outputs at several positions: both ways to step refuse them with the same sentence, rather than being wrong."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.errors import InputError
from linnet.optim import NaturalGradient

WORDS = r"needs outputs \(N, C\).*got \(4, 3, 5\)"


class Tokens(nn.Module):
    """Logits of five classes at each of three positions."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(2, 4), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(torch.tanh(self.inner(x)))


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 2, generator=draw), torch.randint(0, 5, (4, 3), generator=draw)


@pytest.mark.parametrize("approx", ["exact", "block", "kfac", "unit"])
def test_a_step_on_a_batch_refuses_them(approx, batch):
    opt = NaturalGradient(Tokens(), "cross_entropy", approx, damping=0.1)
    with pytest.raises(InputError, match=WORDS):
        opt.step(*batch)


@pytest.mark.parametrize("fisher", ["model", "sampled"])
def test_the_users_own_backward_refuses_them_alike(fisher, batch):
    model, (x, y) = Tokens(), batch
    opt = NaturalGradient(model, "cross_entropy", "kfac", fisher)
    with pytest.raises(InputError, match=WORDS):
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
    assert opt.alpha is None


def test_axes_of_length_one_are_no_positions(batch):
    x, y = batch
    model = nn.Sequential(Tokens(), nn.Flatten(0, 1), nn.Unflatten(1, (5, 1, 1)))
    opt = NaturalGradient(model, "cross_entropy", "kfac")
    F.cross_entropy(model(x).flatten(1), y.flatten()).backward()
    opt.step()
    assert opt.alpha > 0


def test_every_position_of_a_quadratic_loss_is_an_output(batch):
    model = Tokens()
    opt = NaturalGradient(model, "mse", "kfac", damping=0.1, lr=0.01)
    targets = torch.zeros(4, 3, 5)
    first = opt.step(batch[0], targets)
    assert opt.step(batch[0], targets) < first
