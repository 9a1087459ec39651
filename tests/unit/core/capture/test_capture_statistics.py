"""BatchNorm read with its batch statistics taken for constants, and what Kronecker factors are divided by."""

import pytest
import torch
from torch import nn

from linnet.core import Capture
from linnet.errors import CaptureError, InputError

X = torch.linspace(-1, 1, 5 * 2 * 9, dtype=torch.float64).reshape(5, 2, 3, 3) ** 3


def net():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 9, 3)
    )
    return model.double()


def test_batch_statistics_as_constants_give_g_times_the_normalised_input():
    model = net().train()
    with Capture(model, batch_statistics="constant") as cap:
        model(X).square().sum().backward()
    a, g = cap["1"].a, cap["1"].g
    mean, variance = a.mean((0, 2, 3), keepdim=True), a.var((0, 2, 3), keepdim=True, correction=0)
    by_hand = (g * (a - mean) / (variance + 1e-5).sqrt()).sum((2, 3))
    torch.testing.assert_close(cap["1"].per_sample("weight"), by_hand, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(cap["1"].per_sample("weight").sum(0), model[1].weight.grad, rtol=1e-12, atol=1e-13)
    with Capture(model) as strict:
        model(X).sum().backward()
    assert "statistics couple" in strict.uncovered["1"]


def test_batch_norm_without_running_statistics_is_read_as_well():
    layer = nn.BatchNorm1d(3, track_running_stats=False).double().eval()
    x = torch.randn(6, 3, dtype=torch.float64)
    with Capture(layer, batch_statistics="constant") as cap:
        layer(x).pow(3).sum().backward()
    torch.testing.assert_close(cap[""].per_sample("weight").sum(0), layer.weight.grad)


def test_its_option_is_checked():
    with pytest.raises(InputError, match="`batch_statistics`"):
        Capture(net(), batch_statistics="ignore")


@pytest.mark.parametrize(
    ("layer", "positions"), [(nn.Linear(3, 2), 4), (nn.Conv1d(4, 6, 2), 2), (nn.ConvTranspose1d(4, 6, 3), 3)]
)
def test_columns_are_the_vectors_that_the_factors_sum(layer, positions):
    with Capture(layer) as cap:
        layer(torch.randn(5, 4, 3)).sum().backward()
    assert cap[""].batch == 5
    assert cap[""].columns() == 5 * positions
    assert cap[""].columns(sharing="reduce") == 5
    if not isinstance(layer, nn.ConvTranspose1d):
        assert float(cap[""].factors(homogeneous=True)[0][-1, -1]) == cap[""].columns()


def test_other_layers_have_no_columns():
    with Capture(nn.LayerNorm(3)) as cap:
        cap._model(torch.randn(2, 3)).sum().backward()
    with pytest.raises(CaptureError, match="LayerNorm"):
        cap[""].columns()
