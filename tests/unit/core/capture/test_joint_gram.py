"""The Gram matrix of weight and bias together is the sum of both."""

import pytest
import torch
from torch import nn

from linnet.core.capture import gram
from linnet.core.capture.layers.scaled import ScaledLinear
from linnet.core.jacobian.linearisation import Linearisation

LAYERS = {
    "linear": (nn.Linear(4, 3), (5, 4)),
    "over positions": (nn.Linear(4, 3), (5, 6, 4)),
    "groups": (nn.Conv2d(4, 6, 3, groups=2), (5, 4, 5, 5)),
    "one position": (nn.Conv2d(2, 3, 2), (5, 2, 2, 2)),
    "transposed": (nn.ConvTranspose2d(2, 3, 2, stride=2), (5, 2, 2, 2)),
    "scaled": (ScaledLinear(4, 3, weight_scale=0.3, bias_scale=1.7), (5, 4)),
}


@pytest.mark.parametrize("way", ["positions", "gradients"])
@pytest.mark.parametrize("key", LAYERS)
def test_one_product_serves_both(key, way, monkeypatch):
    layer, shape = LAYERS[key]
    monkeypatch.setattr(gram.GramPlan, "way", property(lambda _: way))
    model = nn.Sequential(layer, nn.Flatten()).double()
    jacobians = []
    for seed in (0, 1):
        x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        with Linearisation(model) as linear:
            f = linear.forward(x)
            cotangents = torch.randn(2, *f.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
            jacobians.append(linear.rows(cotangents)[0])
    rows, others = (jacobian.rows() for jacobian in jacobians)
    torch.testing.assert_close(jacobians[0].gram(), rows @ rows.T)
    torch.testing.assert_close(jacobians[0].gram(jacobians[1]), rows @ others.T)
    names = jacobians[0].parameters
    half = jacobians[0].gram(weights=dict.fromkeys(names, 0.5))
    torch.testing.assert_close(half, 0.5 * rows @ rows.T)
    unequal = jacobians[0].gram(weights={names[1]: 3.0})
    column = rows[:, -3 if key != "groups" else -6 :]
    torch.testing.assert_close(unequal, rows @ rows.T + 2 * column @ column.T)


def test_upper_tiles_give_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(gram, "_TILED", 1)
    model, x = nn.Sequential(nn.Linear(6, 40)).double(), torch.randn(9, 6, dtype=torch.float64)
    with Linearisation(model) as linear:
        linear.forward(x)
        (layer,) = linear.rows(torch.randn(3, 9, 40, dtype=torch.float64))
    rows = layer.rows()
    torch.testing.assert_close(layer.gram(), rows @ rows.T)


@pytest.mark.parametrize("samples", [2, 40])
@pytest.mark.parametrize("key", LAYERS)
def test_products_are_those_of_the_rows(key, samples):
    """With few samples a linear layer's product goes by pairs of positions, with many by its weight's gradient."""
    layer, shape = LAYERS[key]
    model = nn.Sequential(layer, nn.Flatten()).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, *shape[1:], dtype=torch.float64, generator=generator)
    with Linearisation(model) as linear:
        f = linear.forward(x)
        jacobian = linear.rows(torch.randn(3, *f.shape, dtype=torch.float64, generator=generator))[0]
    v, rows = torch.randn(3 * samples, dtype=torch.float64, generator=generator), jacobian.rows()
    torch.testing.assert_close(jacobian.product(v), rows @ (rows.T @ v))
    pulled = jacobian.pull(v)
    torch.testing.assert_close(torch.cat([part.flatten() for part in pulled.values()]), rows.T @ v)
    torch.testing.assert_close(jacobian.push(pulled), rows @ (rows.T @ v))


def test_few_samples_of_a_linear_layer_make_no_gradient_of_its_weight(monkeypatch):
    model = nn.Sequential(nn.Linear(30, 20)).double()
    with Linearisation(model) as linear:
        f = linear.forward(torch.randn(4, 30, dtype=torch.float64))
        (layer,) = linear.rows(torch.randn(2, *f.shape, dtype=torch.float64))
    v, rows = torch.randn(8, dtype=torch.float64), layer.rows()
    monkeypatch.setattr(type(layer), "pull", None)
    torch.testing.assert_close(layer.product(v), rows @ (rows.T @ v))
