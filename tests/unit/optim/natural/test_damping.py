"""Levenberg-Marquardt: the rule by hand, and a damping that falls where the prediction is right."""

import pytest
import torch
from torch import nn

from linnet.core.jacobian.losses import LOSSES
from linnet.errors import InputError
from linnet.optim import NaturalGradient
from linnet.optim.natural.update import RATE, adapted, loss_now


@pytest.mark.parametrize(
    ("decrease", "predicted", "factor"),
    [(0.9, 1.0, RATE), (0.5, 1.0, 1.0), (0.1, 1.0, 1 / RATE), (-1.0, 1.0, 1 / RATE), (1.0, -1.0, 1 / RATE)],
)
def test_the_rule(decrease, predicted, factor):
    assert adapted(2.0, decrease=decrease, predicted=predicted) == 2.0 * factor


def test_a_linear_network_is_predicted_exactly_so_the_damping_falls():
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    x, y = torch.randn(20, 4, dtype=torch.float64), torch.randn(20, 3, dtype=torch.float64)
    opt = NaturalGradient(model, "mse", "kfac", damping=1.0, lr=0.1, adapt_damping=True)
    dampings = [opt.step(x, y) and opt.param_groups[0]["damping"] for _ in range(11)]
    assert dampings == [1.0] * 4 + [RATE] * 5 + [RATE * RATE] * 2


def test_a_step_far_too_long_raises_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = torch.randn(20, 4, dtype=torch.float64), torch.arange(20) % 3
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=1e-4, lr=30.0, adapt_damping=True, kl_clip=None)
    for _ in range(5):
        opt.step(x, y)
    assert opt.param_groups[0]["damping"] == pytest.approx(1e-4 / RATE)


def test_the_look_leaves_running_statistics():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    before = model[1].running_mean.clone()
    loss_now(model, torch.randn(5, 4), torch.zeros(5, 3), LOSSES["mse"])
    assert torch.equal(model[1].running_mean, before)


def test_what_it_cant_be_used_with_is_refused():
    with pytest.raises(InputError, match="`momentum`"):
        NaturalGradient(nn.Linear(2, 2), "mse", "kfac", damping=1e-2, momentum=0.9, adapt_damping=True)
    opt = NaturalGradient(nn.Linear(2, 2), "mse", "kfac", damping=1e-2, lr=0.1, adapt_damping=True)
    opt.model(torch.ones(3, 2)).sum().backward()
    with pytest.raises(InputError, match=r"`adapt_damping`.*opt\.step\(x, y\)"):
        opt.step()
