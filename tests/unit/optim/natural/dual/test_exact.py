"""Exact, block and tridiagonal against dense float64 matrices; alpha and isotropy at damping 0."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from linnet.optim import NaturalGradient
from tests.unit.optim.natural.dense import assert_directions_equal, direction, parameters_of

LOSSES = ["mse", "cross_entropy"]
N = 6


def convolutional() -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, groups=2),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(16, 12),
        nn.ReLU(),
        nn.Linear(12, 3),
    )
    model[1].running_mean.normal_()
    return model.double().eval()


def perceptron(layers: int = 3, width: int = 30) -> nn.Module:
    sizes = [24, *[width] * (layers - 1), 3]
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        parts += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*parts[:-1]).double()


def targets(loss: str) -> torch.Tensor:
    return torch.randn(N, 3, dtype=torch.float64) if loss == "mse" else torch.randint(0, 3, (N,))


def taken(model: nn.Module, x, y, lr: float = 0.5, **asked):
    """The direction of one step, from the change of the weights."""
    before = parameters_of(model)
    optimizer = NaturalGradient(model, lr=lr, **({"kl_clip": None} | asked))
    optimizer.step(x, y)
    return {name: (before[name] - p) / lr for name, p in parameters_of(model).items()}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal"])
@pytest.mark.parametrize("damping", [1e-4, 1e-2, 1.0])
def test_the_update_equals_the_dense_one(loss, approx, damping):
    model, x, y = convolutional(), torch.randn(N, 2, 6, 6, dtype=torch.float64), targets(loss)
    expected = direction(model, x, y, loss=loss, approx=approx, damping=damping)
    assert_directions_equal(taken(model, x, y, loss=loss, approx=approx, damping=damping), expected, relative=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("approx", "layers", "alpha"),
    [
        ("exact", 3, 1),
        ("block", 3, 3),
        ("block", 4, 4),
        ("tridiagonal", 1, 1),
        ("tridiagonal", 3, 1),
        ("tridiagonal", 4, 2),
        ("tridiagonal", 6, 2),
        ("tridiagonal", 7, 3),
    ],
)
def test_undamped_alpha_is_the_theory_and_isotropy_holds(loss, approx, layers, alpha):
    model, x, y = perceptron(layers), torch.randn(N, 24, dtype=torch.float64), targets(loss)
    optimizer = NaturalGradient(model, loss, approx)
    optimizer.step(x, y)
    assert optimizer.alpha == alpha
    assert optimizer._isotropy.alpha == pytest.approx(alpha, rel=1e-10)
    assert optimizer.report().isotropy_error < 1e-8
