"""MACs against torch's FlopCounterMode (half of it) and fvcore."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from linnet.core.program.operation_cost import cost


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(len(x), -1, 3, 2, 6).permute(2, 0, 3, 1, 4)
        return self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.inner = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.up, self.head = nn.ConvTranspose2d(8, 6, 3, 2, 1, 1), nn.Conv2d(9, 2, 1)

    def forward(self, x):
        return self.head(torch.cat([x, self.up(self.inner(self.down(x)).relu())], 1))


NETWORKS = [
    pytest.param(UNet(), (3, 16, 16), id="u-net"),
    pytest.param(Attention(), (7, 12), id="attention"),
    pytest.param(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8), id="encoder layer"),
    pytest.param(nn.Sequential(nn.Conv1d(3, 4, 3, dilation=2), nn.Flatten(), nn.Linear(32, 3)), (3, 12), id="1-d"),
    pytest.param(nn.Sequential(nn.Conv3d(1, 2, 2), nn.ConvTranspose3d(2, 1, 3, 2)), (1, 5, 5, 5), id="3-d"),
    pytest.param(nn.LSTM(4, 6, 2, bidirectional=True, batch_first=True), (5, 4), id="lstm"),
]


@pytest.fixture
def plain_recurrence():
    """Recurrent layers as products, without the CPU's fused kernel."""
    before = torch.backends.mkldnn.enabled
    torch._C._set_mkldnn_enabled(False)
    yield
    torch._C._set_mkldnn_enabled(before)


@pytest.mark.parametrize(("model", "shape"), NETWORKS)
def test_macs_are_half_of_the_counted_flops(model, shape, plain_recurrence):
    model.eval()
    # torch counts its fused attention and recurrent kernels as 0: here they run as the products that they fuse
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape, requires_grad=True))
    assert cost(model, torch.zeros(3, *shape)).macs * 2 == counter.get_total_flops()


def test_by_module_is_half_of_what_is_counted_there():
    model = UNet().eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 16, 16, requires_grad=True))
    found = cost(model, torch.zeros(1, 3, 16, 16)).by_module
    for name in ("down", "inner", "up", "head"):
        assert found[name].macs * 2 == sum(counter.get_flop_counts()[f"UNet.{name}"].values())


def test_macs_are_those_of_fvcore():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fvcore = pytest.importorskip("fvcore.nn", reason="fvcore isn't installed")
        model = UNet().eval()
        theirs = fvcore.FlopCountAnalysis(model, torch.zeros(1, 3, 16, 16)).unsupported_ops_warnings(False)
        counted = theirs.by_operator()
    assert cost(model, torch.zeros(1, 3, 16, 16)).macs == counted["conv"]
