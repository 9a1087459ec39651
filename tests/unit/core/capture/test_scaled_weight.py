"""A parametrised weight that is a fixed multiple of its leaf is told from one that isn't, and read as the layer is."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from linnet.core.capture.scaled_weight import multiple_of, scaled_leaf
from linnet.core.jacobian.linearisation import Linearisation

LEAF = "parametrizations.weight.original"


class Times(nn.Module):
    """V -> s V."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, v):
        return v * self.scale


class Shifted(nn.Module):
    """V -> V + 1."""

    def forward(self, v):
        return v + 1


class Twice(nn.Linear):
    """A layer with a forward of its own."""

    def forward(self, input):
        return 2 * super().forward(input)


def scaled(layer, *scales):
    for scale in scales:
        parametrize.register_parametrization(layer, "weight", Times(scale))
    return layer


def test_multiples_are_found_with_their_scale_and_leave_the_layer_alone():
    torch.manual_seed(0)
    layer = scaled(nn.Linear(3, 2), 0.5, 3.0)
    before = copy.deepcopy(layer.state_dict())
    rule, param, scale = multiple_of(layer, LEAF)
    assert (param, scale) == ("weight", pytest.approx(1.5, rel=1e-6))
    assert rule.is_matrix
    assert multiple_of(layer, "bias")[1:] == ("bias", 1.0)
    assert scaled_leaf(layer) is layer.parametrizations.weight.original
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


@pytest.mark.parametrize(
    "make",
    [
        lambda: parametrizations.weight_norm(nn.Linear(3, 2)),
        lambda: parametrizations.spectral_norm(nn.Linear(3, 2)),
        lambda: parametrizations.orthogonal(nn.Linear(3, 3)),
        lambda: nn.Linear(3, 2),
        lambda: scaled(Twice(3, 2), 0.5),
        lambda: scaled(nn.LayerNorm(3), 0.5),
    ],
    ids=["weight_norm", "spectral_norm", "orthogonal", "plain", "own forward", "norm layer"],
)
def test_what_is_no_multiple_is_told(make):
    layer = make()
    numbers = torch.get_rng_state()
    assert multiple_of(layer, LEAF) is None
    assert scaled_leaf(layer) is None
    assert torch.equal(torch.get_rng_state(), numbers)


def test_a_shift_is_no_multiple():
    layer = nn.Linear(3, 2)
    parametrize.register_parametrization(layer, "weight", Shifted())
    assert multiple_of(layer, LEAF) is None


@pytest.mark.parametrize(
    "make", [lambda: nn.Linear(4, 3), lambda: nn.Conv1d(4, 3, 2, stride=2)], ids=["linear", "conv"]
)
def test_rows_are_those_of_the_leaf(make):
    torch.manual_seed(0)
    layer = scaled(make(), 0.25)
    model = nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.LazyLinear(2)).double()
    x = torch.randn(5, 4, dtype=torch.float64) if isinstance(layer, nn.Linear) else torch.randn(5, 4, 6).double()
    model(x)
    with Linearisation(model) as linear:
        linear.forward(x)
        layers = linear.rows(torch.eye(2, dtype=torch.float64)[:, None].expand(2, 5, 2))
    names = dict(model.named_parameters())
    found = {name: term.rows() for one in layers for name, term in one.terms.items()}
    assert set(found) == set(names)
    for name, rows in found.items():
        for n in range(5):
            for k in range(2):
                (expected,) = torch.autograd.grad(model(x)[n, k], names[name])
                torch.testing.assert_close(rows[k, n], expected, rtol=1e-12, atol=1e-14)
