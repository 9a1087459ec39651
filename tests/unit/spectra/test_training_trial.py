"""The map over step sizes and widths: its edge is 2 / lambda_max of each width."""

import pytest
import torch

from linnet.errors import InputError
from linnet.spectra import lr_map
from tests.unit.spectra.test_mean_field import standard


def make(width: int) -> torch.nn.Module:
    torch.manual_seed(width)
    return standard("relu", 2.0, 0.1, width, 2)


def data(width: int) -> torch.Tensor:
    return torch.randn(20, width, generator=torch.Generator().manual_seed(0))


def test_the_edge_follows_the_line_over_five_widths():
    widths = (16, 32, 64, 128, 256)
    lrs = [0.004 * 1.25**k for k in range(24)]
    found = lr_map(make, widths, lrs, data)
    assert found.losses.shape == (5, 24)
    for edge, limit in zip(found.edges(), found.limits, strict=True):
        assert edge <= 1.05 * limit  # so near, sixty steps of growth are few
        assert limit < edge * 1.25**2
    assert found.limits[0] > 4 * found.limits[-1]


def test_what_cant_be_used_is_named():
    with pytest.raises(InputError, match="`widths` and `lrs`"):
        lr_map(make, (8,), (0.2, 0.1), data)
    with pytest.raises(InputError, match="`widths` and `lrs`"):
        lr_map(make, (), (0.1,), data)
    with pytest.raises(InputError, match=r"`make` must be a function.*got Linear"):
        lr_map(torch.nn.Linear(3, 2), (8,), (0.1,), data(3))
    with pytest.raises(InputError, match=r"`widths` whole numbers >= 1"):
        lr_map(make, ("a",), (0.1,), data)
    with pytest.raises(InputError, match=r"`model` must be a torch.nn.Module \(got int\)"):
        lr_map(lambda width: width, (8,), (0.1,), data)
    with pytest.raises(InputError, match=r"`x` must be a tensor.*got list"):
        lr_map(make, (8,), (0.1,), [1.0])
