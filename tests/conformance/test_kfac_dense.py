"""The K-FAC step against dense matrices written out, on every kind of layer, and its isotropy at damping 0."""

import pytest
import torch
from torch import nn

from linnet.optim import NaturalGradient
from tests.conformance.dense_kfac import kfac_direction


class Scale(nn.Module):
    """A user's own parameter."""

    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.linspace(0.5, 1.5, channels).view(-1, 1, 1))

    def forward(self, x):
        return x * self.gain


class Tied(nn.Module):
    """One linear layer used at three positions and twice in a row."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(12, 3)

    def forward(self, x):
        h = torch.tanh(self.inner(x.view(len(x), 3, 4)))
        return self.head(torch.tanh(self.inner(h)).flatten(1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.body = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.head(torch.relu(h + self.norm(self.body(h))).mean((2, 3)))


NETS = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 8, bias=False), nn.ReLU(), nn.Linear(8, 3)),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Tanh(), nn.Conv2d(4, 6, 2, dilation=2, groups=2, padding=1),
        nn.ReLU(), nn.Flatten(), nn.LazyLinear(3),
    ),
    "cnn1d": lambda: nn.Sequential(
        nn.Conv1d(2, 4, 3, stride=2, padding=2), nn.Tanh(), nn.Conv1d(4, 4, 2, groups=4), nn.Flatten(), nn.LazyLinear(3)
    ),
    "norms": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Tanh(), Scale(4), nn.GroupNorm(2, 4), nn.Flatten(),
        nn.LazyLinear(5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3),
    ),
    "residual": Residual,
    "tied": Tied,
}  # fmt: skip


def setup(kind):
    torch.manual_seed(0)
    shape = {"mlp": (6,), "tied": (12,), "cnn1d": (2, 9)}.get(kind, (2, 6, 6))
    x = torch.randn(4, *shape)
    model = NETS[kind]()
    model(x)
    model = model.double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return model.eval(), x.double()


def targets(f, loss):
    if loss == "mse":
        return torch.randn_like(f), f.shape[1]
    return torch.arange(len(f)) % f.shape[1], f.shape[1]


def residual(f, y, loss):
    if loss == "mse":
        return f - y
    return f.softmax(1) - torch.nn.functional.one_hot(y, f.shape[1])


def taken(model, before, lr):
    return {name: (before[name] - p.detach()) / lr for name, p in model.named_parameters()}


def assert_equal(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name in expected:
        error = float((found[name] - expected[name]).norm() / expected[name].norm())
        assert error <= tolerance, f"{name}: {error:.2e}"


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("kind", NETS)
def test_the_step_is_a_dense_solve(kind, loss, sharing):
    model, x = setup(kind)
    f = model(x).detach()
    y, _ = targets(f, loss)
    expected = kfac_direction(model, x, residual(f, y, loss), loss, 1e-3, sharing=sharing)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    opt = NaturalGradient(model, loss, "kfac", damping=1e-3, lr=0.5, sharing=sharing, kl_clip=None)
    opt.step(x, y)
    assert_equal(taken(model, before, 0.5), expected, 1e-10)
    assert set(opt.report().covered) == set(expected)


@pytest.mark.parametrize("kind", ["mlp", "norms", "tied"])
def test_the_dual_of_few_vectors_is_the_same_solve(kind):
    model, x = setup(kind)
    f = model(x).detach()
    y, _ = targets(f, "mse")
    expected = kfac_direction(model, x, f - y, "mse", 1e-2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    opt = NaturalGradient(model, "mse", "kfac", damping=1e-2, lr=0.5, ema=0.0)
    opt.step(x, y)
    assert "dual" in opt.report().route
    assert_equal(taken(model, before, 0.5), expected, 1e-10)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_undamped_it_is_isotropic_with_the_alpha_of_the_theory(outputs, bias):
    torch.manual_seed(1)
    layers = [
        nn.Linear(30, 50, bias=bias),
        nn.Tanh(),
        nn.Linear(50, 40, bias=bias),
        nn.Tanh(),
        nn.Linear(40, 35, bias=bias),
    ]
    model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(35, outputs, bias=bias)).double()
    x, y = torch.randn(9, 30, dtype=torch.float64), torch.randn(9, outputs, dtype=torch.float64)
    opt = NaturalGradient(model, "mse", "kfac", isotropy_every=1)
    opt.step(x, y)
    assert opt.alpha == 9 * 3 + 1
    assert opt.report().isotropy_error <= 1e-8


def test_without_the_rank_alpha_is_measured():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 50), nn.Tanh(), nn.Linear(50, 2)).double()
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.randn(9, 2, dtype=torch.float64)
    opt = NaturalGradient(model, "mse", "kfac")
    opt.step(x, y)
    assert opt.alpha != 10
    assert 1 < opt.alpha < 10


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_towards_infinite_damping_it_is_the_gradient_over_the_damping(loss):
    model, x = setup("residual")
    f = model(x).detach()
    y, _ = targets(f, loss)
    r = residual(f, y, loss)
    names = dict(model.named_parameters())
    grads = torch.autograd.grad((model(x) * r).sum() / len(x), list(names.values()))
    before = {name: p.detach().clone() for name, p in names.items()}
    NaturalGradient(model, loss, "kfac", damping=1e12, lr=1e12, kl_clip=None).step(x, y)
    assert_equal(taken(model, before, 1.0), dict(zip(names, grads, strict=True)), 1e-5)
