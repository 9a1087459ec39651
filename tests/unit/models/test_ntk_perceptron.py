"""The NTK-parameterised perceptron: its forward by hand, its spellings, its refusals."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from linnet.core.jacobian.linearisation import Linearisation
from linnet.errors import InputError
from linnet.models import ntk_mlp
from linnet.spectra import ntk
from tests.unit.optim.natural.dense import jacobian


def test_the_forward_is_the_scaled_one():
    torch.manual_seed(0)
    model = ntk_mlp(widths=(5, 4), inputs=6, outputs=2, activation="tanh", weight_variance=3.0, bias_variance=0.64)
    x = h = torch.randn(7, 2, 3)
    h = h.flatten(1)
    for number, layer in enumerate(model.layers):
        h = torch.tanh(h) if number else h
        h = math.sqrt(3.0 / h.shape[1]) * h @ layer.weight.T + 0.8 * layer.bias
    torch.testing.assert_close(model(x), h)
    assert [tuple(p.shape) for p in model.parameters()] == [(5, 6), (5,), (4, 5), (4,), (2, 4), (2,)]


def test_leaf_parameters_are_standard_normal():
    torch.manual_seed(0)
    weight = ntk_mlp(depth=2, width=400, inputs=400).layers[0].weight.detach()
    assert abs(float(weight.mean())) < 0.01
    assert float(weight.std()) == pytest.approx(1.0, abs=0.01)


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, value):
        return self.factor * value


class After(nn.Module):
    """A plain linear layer and a factor behind it."""

    def __init__(self, layer, factor):
        super().__init__()
        self.layer, self.factor = layer, factor

    def forward(self, x):
        return self.factor * self.layer(x)


class Own(nn.Module):
    """A forward that scales its own weight."""

    def __init__(self, weight, factor):
        super().__init__()
        self.weight, self.factor = nn.Parameter(weight), factor

    def forward(self, x):
        return torch.nn.functional.linear(x, self.weight * self.factor)


def test_every_spelling_of_a_scaled_weight_has_the_same_kernel():
    torch.manual_seed(0)
    model = ntk_mlp(depth=2, width=8, inputs=5, outputs=2).double()
    x = torch.randn(4, 5, dtype=torch.float64)
    spelled = {"after": [], "own": [], "parametrised": []}
    for layer in model.layers:
        factor, weight = layer.weight_scale, layer.weight.detach()
        plain = nn.Linear(*reversed(weight.shape), bias=False).double()
        plain.weight.data = weight.clone()
        other = nn.Linear(*reversed(weight.shape), bias=False).double()
        other.weight.data = weight.clone()
        spelled["after"].append(After(plain, factor))
        spelled["own"].append(Own(weight.clone(), factor))
        spelled["parametrised"].append(parametrize.register_parametrization(other, "weight", Scale(factor)))
    expected = ntk(model, x)
    for first, last in spelled.values():
        twin = nn.Sequential(first, nn.ReLU(), last)
        torch.testing.assert_close(twin(x), model(x))
        torch.testing.assert_close(ntk(twin, x), expected, rtol=1e-10, atol=1e-12)


def test_the_vectors_of_a_scaled_layer_multiply_to_its_gradients():
    torch.manual_seed(0)
    model = ntk_mlp(depth=2, width=4, inputs=3, bias_variance=0.25).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    with Linearisation(model) as linear:
        f = linear.forward(x)
        layers = linear.rows(torch.ones(1, *f.shape, dtype=f.dtype))
    for layer in layers:
        a, g = layer.vectors()
        product = torch.einsum("kngos,ngis->nkoi", g, a)
        rows = layer.rows().view(5, -1)
        outputs = product.shape[2]
        torch.testing.assert_close(product[:, 0, :, :-1].flatten(1), rows[:, :-outputs])
        torch.testing.assert_close(product[:, 0, :, -1], rows[:, -outputs:])


def test_combinations_and_projections_of_rows_are_those_of_the_rows_themselves():
    torch.manual_seed(0)
    model = ntk_mlp(depth=2, width=4, inputs=3, outputs=2, bias_variance=0.25).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    with Linearisation(model) as linear:
        f = linear.forward(x)
        layers = linear.rows(torch.eye(2, dtype=f.dtype)[:, None].expand(2, 5, 2))
    v = torch.randn(10, dtype=torch.float64)
    for layer in layers:
        rows, pulled = layer.rows(), layer.pull(v)
        torch.testing.assert_close(torch.cat([g.flatten() for g in pulled.values()]), rows.T @ v)
        torch.testing.assert_close(layer.push(pulled), rows @ rows.T @ v)
        torch.testing.assert_close(layer.gram(), rows @ rows.T)
        torch.testing.assert_close(layer.gram(layer), rows @ rows.T)


def test_rows_are_the_jacobian():
    torch.manual_seed(0)
    model = ntk_mlp(depth=3, width=4, inputs=3, outputs=2, bias_variance=0.25, activation="tanh").double()
    x = torch.randn(5, 3, dtype=torch.float64)
    rows = torch.cat(list(jacobian(model, x).values()), dim=1)
    torch.testing.assert_close(ntk(model, x), rows @ rows.T, rtol=1e-10, atol=1e-12)


def test_what_cant_be_made_is_named():
    with pytest.raises(InputError, match=r"`depth`.*`widths`"):
        ntk_mlp(depth=4, widths=(3, 3), inputs=2)
    with pytest.raises(InputError, match=r"\b0\b"):
        ntk_mlp(width=0, inputs=2)
    with pytest.raises(InputError, match="`weight_variance`"):
        ntk_mlp(inputs=2, weight_variance=0.0)
    with pytest.raises(InputError, match="`activation`"):
        ntk_mlp(inputs=2, activation="swish")


@pytest.mark.parametrize(
    ("asked", "message"),
    [({"width": 2.5}, r"`width`.*2\.5"), ({"bias_variance": float("nan")}, "`bias_variance`.*nan")],
)
def test_sizes_are_whole_and_variances_finite(asked, message):
    with pytest.raises(InputError, match=message):
        ntk_mlp(inputs=3, **asked)
