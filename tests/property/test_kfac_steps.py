"""K-FAC and unit-wise steps on random networks: dense solves, sample order, doubled data, re-parameterised inputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from linnet.models import MLP, ResidualUNet, ResNet, SmallUNet
from linnet.optim import NaturalGradient
from tests.conformance.dense_kfac import kfac_direction

SETTINGS = settings(max_examples=12, deadline=None)


@st.composite
def networks(draw):
    """A small float64 CNN or MLP and its batch."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    samples, bias = draw(st.integers(2, 5)), draw(st.booleans())
    if draw(st.booleans()):
        width = draw(st.integers(2, 7))
        shared = nn.Linear(width, width, bias=bias)
        middle = [shared, nn.Tanh(), shared] if draw(st.booleans()) else [shared]
        layers = [nn.Linear(5, width, bias=bias), nn.Tanh(), *middle, nn.LayerNorm(width), nn.Linear(width, 3)]
        return nn.Sequential(*layers).double(), torch.randn(samples, 5, dtype=torch.float64)
    groups, stride, dilation = draw(st.sampled_from([1, 2])), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    second = nn.Conv2d(4, 4, 2, stride=stride, dilation=dilation, groups=groups, padding=1, bias=bias)
    layers = [nn.Conv2d(2, 4, 3, padding=1, bias=bias), nn.BatchNorm2d(4), nn.Tanh(), second, nn.AdaptiveAvgPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 3)).double().eval()
    return model, torch.randn(samples, 2, 6, 6, dtype=torch.float64)


def moved(model, x, y, loss, approx="kfac", **options):
    """Delta of one step, by name; the model is put back."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    NaturalGradient(model, loss, approx, lr=1.0, kl_clip=None, **({"damping": 1e-2} | options)).step(x, y)
    result = {name: before[name] - p.detach() for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(before[name])
    return result


def assert_close(found, expected, tolerance):
    for name, value in expected.items():
        assert float((found[name] - value).norm()) <= tolerance * float(value.norm()) + 1e-14, name


@SETTINGS
@given(networks(), st.sampled_from(["mse", "cross_entropy"]))
def test_the_kfac_step_is_a_dense_solve(drawn, loss):
    model, x = drawn
    f = model(x).detach()
    y = torch.ones_like(f) if loss == "mse" else torch.arange(len(f)) % 3
    r = f - y if loss == "mse" else f.softmax(1) - nn.functional.one_hot(y, 3)
    assert_close(moved(model, x, y, loss), kfac_direction(model, x, r, loss, 1e-2), 1e-9)


@SETTINGS
@given(networks(), st.sampled_from(["kfac", "unit"]))
def test_neither_order_nor_doubling_of_the_samples_matters(drawn, approx):
    model, x = drawn
    y = torch.arange(len(x)) % 3
    once = moved(model, x, y, "cross_entropy", approx)
    assert_close(moved(model, x.flip(0), y.flip(0), "cross_entropy", approx), once, 1e-9)
    assert_close(moved(model, torch.cat([x, x]), torch.cat([y, y]), "cross_entropy", approx), once, 1e-9)


@SETTINGS
@given(st.integers(0, 1000))
def test_undamped_kfac_doesnt_see_an_affine_change_of_a_layers_inputs(seed):
    torch.manual_seed(seed)
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randn(30, 2, dtype=torch.float64)
    change, shift = torch.eye(4).double() + 0.3 * torch.randn(4, 4).double(), torch.randn(4).double()
    one = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    other = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    other.load_state_dict(one.state_dict())
    with torch.no_grad():  # the same function of z = x change + shift
        inverse = torch.linalg.inv(change)
        other[0].weight.copy_(one[0].weight @ inverse.T)
        other[0].bias.copy_(one[0].bias - other[0].weight @ shift)
    z = x @ change + shift
    torch.testing.assert_close(other(z), one(x))
    for model, inputs in ((one, x), (other, z)):
        NaturalGradient(model, "mse", "kfac", lr=0.1).step(inputs, y)
    torch.testing.assert_close(other(z), one(x), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", ["mlp", "resnet", "small unet", "residual unet"])
def test_every_parameter_of_the_shipped_networks_is_accounted_for_once(kind):
    torch.manual_seed(0)
    model = {
        "mlp": lambda: MLP(input_shape=(3, 16, 16), hidden=(8,)),
        "resnet": lambda: ResNet(input_shape=(3, 16, 16), depth=8, width=4),
        "small unet": lambda: SmallUNet((4, 6, 8), stem=4),
        "residual unet": lambda: ResidualUNet(width=4, scales=3),
    }[kind]()
    x = torch.randn(3, 3, 16, 16)
    opt = NaturalGradient(model, "mse", "kfac", fisher="sampled", damping=1e-2, lr=1e-3)
    opt.zero_grad()
    (model(x).square().sum() / 6).backward()
    opt.step()
    report = opt.report()
    assert not set(report.covered) & set(report.uncovered)
    assert set(report.covered) | set(report.uncovered) == {name for name, _ in model.named_parameters()}
    assert not report.uncovered
