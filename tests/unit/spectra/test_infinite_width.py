"""The infinite-width NTK: closed forms beside random draws, beside wide networks, and as `predict`'s kernel."""

import pytest
import torch

from linnet.errors import InputError
from linnet.models import ntk_mlp
from linnet.optim import NaturalGradient, predict
from linnet.spectra import infinite_width_ntk, ntk
from linnet.spectra.infinite_width import MOMENTS

PHI = {
    "relu": torch.relu,
    "linear": lambda u: u,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
}


@pytest.mark.parametrize("name", PHI)
def test_moments_are_those_of_normal_draws(name):
    a, other, b = torch.tensor([1.3, 0.4]), torch.tensor([0.6, 0.4]), torch.tensor([-0.5, 0.4])
    covariance = torch.tensor([[[1.3, -0.5], [-0.5, 0.6]], [[0.4, 0.4], [0.4, 0.4]]], dtype=torch.float64)
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(0).sqrt().unsqueeze(1)
    z = torch.randn(2, 2, 1_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, v = (root @ z).unbind(1)
    leaf = torch.stack([u, v]).requires_grad_()
    (slopes,) = torch.autograd.grad(PHI[name](leaf).sum(), leaf)
    products = {"value": PHI[name](u) * PHI[name](v), "slope": slopes[0] * slopes[1]}
    for which, drawn in products.items():
        found = getattr(MOMENTS[name], which)(a.double(), other.double(), b.double())
        error = drawn.std(1) / 1000  # of the mean of a million
        assert bool(((found - drawn.mean(1)).abs() <= 4 * error + 1e-7).all()), (which, found, drawn.mean(1))


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_wide_networks_come_near_layer_by_layer(activation):
    """The mean over networks lies within its own error: 5 standard errors and 1 % for the finite width."""
    torch.manual_seed(0)
    x1, x2 = (torch.nn.functional.normalize(torch.randn(n, 12).double()) * 12**0.5 for n in (5, 3))
    options = {"depth": 3, "activation": activation, "weight_variance": 1.7, "bias_variance": 0.2}
    limit = infinite_width_ntk(**options)(x1, x2)
    nets = [ntk_mlp(width=1000, inputs=12, **options).double() for _ in range(10)]
    kernels = [ntk(net, x1, x2, layers="each") for net in nets]
    assert list(limit) == list(kernels[0])
    for name, theta in limit.items():
        drawn = torch.stack([each[name] for each in kernels])
        allowed = 5 * drawn.std(0) / 10**0.5 + 0.01 * theta.abs().max()
        assert float(allowed.max()) < 0.35 * float(theta.abs().max()), name
        assert bool(((drawn.mean(0) - theta).abs() <= allowed).all()), name


def test_a_tiny_case_by_hand():
    """L = 2, linear, sigma_w^2 = 3, sigma_b^2 = 0.5, one input (1, 2) of two entries: |x|^2 / M_0 = 2.5."""
    x = torch.tensor([[1.0, 2.0]])
    found = infinite_width_ntk(depth=2, activation="linear", weight_variance=3.0, bias_variance=0.5)(x, x)
    q1 = 3 * 2.5 + 0.5
    assert float(found["layers.1"]) == pytest.approx(3 * q1 + 0.5)
    assert float(found["layers.0"]) == pytest.approx(3 * q1)


def test_the_limit_predicts_a_wide_network_before_it_exists():
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(12, 20).double())
    y = torch.sign(x[:, :1]) / 2
    points = torch.nn.functional.normalize(torch.randn(6, 20).double())
    net = ntk_mlp(depth=3, width=2048, inputs=20).double()
    limit = infinite_width_ntk(depth=3)
    line = predict(net, (x, y), points, "block", c=0.5, steps=3, kernel=limit)
    opt = NaturalGradient(net, approx="block", c=0.5)
    losses = [opt.step(x, y) for _ in range(4)]
    torch.testing.assert_close(
        torch.tensor(losses).double(), line.loss_train.double(), rtol=0.05, atol=0.01 * losses[0]
    )
    assert float((net(points) - line.test[-1] - 0).detach().abs().max()) < 0.15


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"activation": "sine"}, "`activation`.*'sine'"),
        ({"depth": 0}, "`depth`.*0"),
        ({"weight_variance": 0.0}, r"`weight_variance`.*0\.0"),
    ],
)
def test_what_cant_be_used_is_named(asked, message):
    with pytest.raises(InputError, match=message):
        infinite_width_ntk(**asked)


def test_inputs_of_unlike_sizes_and_moments_that_dont_converge_are_refused():
    with pytest.raises(InputError, match="`x2`"):
        infinite_width_ntk()(torch.ones(1, 2), torch.ones(1, 3))
    with pytest.raises(InputError, match=r"320.*`weight_variance`"):
        infinite_width_ntk(activation="tanh")(1e4 * torch.eye(2), torch.eye(2))
