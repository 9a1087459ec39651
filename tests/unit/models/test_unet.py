import pytest
import torch
from torch import nn

from linnet.models import ResidualUNet, SmallUNet, create


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return SmallUNet().eval()


@pytest.mark.parametrize(("name", "network"), [("small_unet", SmallUNet), ("residual_unet", ResidualUNet)])
def test_they_are_made_by_name(name, network):
    assert type(create(name)) is network
    assert (create(name).stride, create(name).period) == (network.stride, network.period)


def test_the_small_preset_is_small(small):
    assert sum(p.numel() for p in small.parameters()) <= 250_000


def test_batch_norm_is_the_only_norm_and_nothing_sees_the_whole_picture():
    for network in (SmallUNet(), ResidualUNet()):
        names = {type(m).__name__ for m in network.modules() if not list(m.children())}
        assert names <= {"Conv2d", "ConvTranspose2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Identity"}


@pytest.mark.parametrize(("network", "stride", "channels"), [(SmallUNet(), 2, 3), (ResidualUNet(width=4), 1, 1)])
def test_the_grid_starts_almost_empty(network, stride, channels):
    """sigmoid(-3) = 0.047 everywhere, and offsets near 0."""
    x = torch.rand(2, 3, 64, 96)
    out = network.eval()(x)
    assert out.shape == (2, channels, 64 // stride, 96 // stride)
    assert (out[:, 0].sigmoid() - 0.047).abs().mean() < 0.05
    if channels == 3:
        assert out[:, 1:].abs().mean() < 0.5


def test_the_head_spreads_2_x_2_blocks_of_logits_then_offsets(small):
    """Twelve constants of the head land where the docstring says: logit, offset y, offset x; row by row."""
    nn.init.zeros_(small.head.weight)
    with torch.no_grad():
        small.head.bias.copy_(torch.arange(12.0))
    out = small(torch.rand(1, 3, 32, 32))[0]
    for channel, block in enumerate(out):
        expected = torch.tensor([[0.0, 1.0], [2.0, 3.0]]) + 4 * channel
        assert torch.equal(block, expected.repeat(8, 8))


@pytest.mark.parametrize("network", [SmallUNet(), ResidualUNet(width=4)])
def test_a_shift_by_the_period_shifts_the_output(network):
    """Far from the border, in float64."""
    torch.manual_seed(1)
    network = network.double().eval()
    nn.init.normal_(network.head.weight)
    p, s = network.period, network.stride
    x = torch.rand(1, 3, p, 20 * p, dtype=torch.float64)
    here, there = network(x), network(x.roll(p, 3))
    middle = slice(9 * p // s, 11 * p // s)
    moved = slice(10 * p // s, 12 * p // s)
    torch.testing.assert_close(there[..., moved], here[..., middle], rtol=0, atol=1e-10)
    assert here[..., middle].std() > 1e-3


def test_every_parameter_learns():
    for network in (SmallUNet((8, 8, 8), 4), ResidualUNet(width=2)):
        network(torch.rand(2, 3, 32, 32)).square().mean().backward()
        silent = [name for name, p in network.named_parameters() if p.grad is None]
        assert silent == []


def test_widths_and_channels_are_options():
    assert SmallUNet((8, 16, 24), 4, in_channels=1)(torch.rand(1, 1, 16, 32)).shape == (1, 3, 8, 16)
    assert ResidualUNet(width=4, scales=3, in_channels=1)(torch.rand(1, 1, 8, 16)).shape == (1, 1, 8, 16)
