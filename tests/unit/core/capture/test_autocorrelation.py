"""The input factor of a convolution from autocorrelations is that of its patches."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from linnet.core import Capture
from linnet.core.capture import autocorrelation

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 3))


def by_patches(layer, x, homogeneous):
    columns = F.unfold(x, layer.kernel_size, dilation=layer.dilation, padding=layer.padding)
    if homogeneous:
        columns = torch.cat([columns, torch.ones_like(columns[:, :1])], dim=1)
    return torch.einsum("nis,njs->ij", columns, columns)


@settings(max_examples=60, deadline=None)
@given(
    kernel=SIZES,
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    homogeneous=st.booleans(),
)
def test_it_equals_the_products_of_patches(kernel, dilation, padding, homogeneous):
    layer = nn.Conv2d(3, 2, kernel, dilation=dilation, padding=padding).double()
    x = torch.randn(4, 3, 10, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = tuple(layer(x).shape[2:])
    found = autocorrelation.input_factor(layer, x, out, homogeneous=homogeneous)
    torch.testing.assert_close(found, by_patches(layer, x, homogeneous), rtol=1e-11, atol=1e-11)


def test_one_axis_and_several_tiles(monkeypatch):
    monkeypatch.setattr(autocorrelation, "TILE_BYTES", 1000)
    layer = nn.Conv1d(3, 2, 4, dilation=2, padding=3).double()
    x = torch.randn(7, 3, 30, dtype=torch.float64)
    found = autocorrelation.input_factor(layer, x, tuple(layer(x).shape[2:]), homogeneous=True)
    twin = nn.Conv2d(3, 2, (1, 4), dilation=(1, 2), padding=(0, 3)).double()
    torch.testing.assert_close(found, by_patches(twin, x.unsqueeze(2), homogeneous=True))


@pytest.mark.parametrize(
    ("layer", "out", "fit"),
    [
        (nn.Conv2d(2, 2, 3), (8, 8), True),
        (nn.Conv2d(2, 2, 3), (7, 7), False),
        (nn.Conv2d(2, 2, 1), (8, 8), False),
        (nn.Conv2d(2, 2, 3, stride=2), (8, 8), False),
        (nn.Conv2d(2, 2, 3, groups=2), (8, 8), False),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), (8, 8), False),
        (nn.Conv2d(2, 2, 3, padding="same"), (8, 8), False),
        (nn.ConvTranspose2d(2, 2, 3), (8, 8), False),
    ],
)
def test_only_plain_convolutions_at_stride_one_fit(layer, out, fit):
    assert autocorrelation.fits(layer, out) is fit


def test_the_factors_of_a_capture_are_those_of_its_patches():
    layer = nn.Conv2d(3, 4, 3, padding=1).double()
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    with Capture(layer, keep="all") as cap:
        layer(x).square().sum().backward()
    a, g = cap[""].factors(homogeneous=True)
    torch.testing.assert_close(a, by_patches(layer, x, homogeneous=True))
    rows = cap[""].g[0].transpose(0, 1).flatten(1)
    torch.testing.assert_close(g, rows @ rows.T)
