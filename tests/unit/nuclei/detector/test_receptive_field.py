import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.models import ResidualUNet, SmallUNet
from linnet.nuclei.detector.files import PRESETS, REACHES, new_network
from linnet.nuclei.detector.receptive_field import Reach, halo, reach


def averaging(network):
    """The same geometry with positive weights everywhere and means in place of maxima: nothing cancels or hides."""
    network = network.double().eval()
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d):
            raise AssertionError("swap it before")
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.constant_(module.weight, 1.0)
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.1)
    return network


def seen(network, period, stride, side):
    """The farthest pixel with a gradient beyond a cell's own pixels, over the cells of one period, by autograd."""
    x = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    out = network(x)
    first = side // 2 // period * (period // stride)
    radius = 0
    for cell in range(first, first + period // stride):
        (gradient,) = torch.autograd.grad(out[0, :, cell, cell].sum(), x, retain_graph=True)
        for axis in (0, 1):
            touched = gradient[0].abs().sum(0).sum(1 - axis).nonzero()[:, 0]
            radius = max(radius, stride * cell - int(touched[0]), int(touched[-1]) - (stride * cell + stride - 1))
    return radius


class Up(nn.Module):
    stride = 1
    period = 2

    def __init__(self, **options):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 2, 4, 2, padding=1), nn.ConvTranspose2d(2, 1, stride=2, **options)

    def forward(self, x):
        return self.up(self.down(x))


NETWORKS = {
    "one pixel": (lambda: nn.Conv2d(3, 1, 1), 1, Reach(1, 1, 0)),
    "3 x 3": (lambda: nn.Conv2d(3, 1, 3, padding=1), 1, Reach(1, 1, 1)),
    "one-sided": (lambda: nn.Conv2d(3, 1, 4, padding="same"), 1, None),
    "dilated": (lambda: nn.Conv2d(3, 1, 3, padding=4, dilation=4), 1, Reach(1, 1, 4)),
    "oblong": (lambda: nn.Conv2d(3, 1, (1, 7), padding=(0, 3)), 1, Reach(1, 1, 3)),
    "strided": (lambda: nn.Conv2d(3, 1, 4, 2, padding=1), 2, Reach(2, 2, 1)),
    "pooled and spread": (lambda: nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=4)), 4, Reach(1, 4, 3)),
    "shuffled": (lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3, padding=1), nn.PixelShuffle(2)), 2,
                 Reach(1, 2, 3)),
    "transposed 2": (lambda: Up(kernel_size=2), 2, None),
    "transposed 4": (lambda: Up(kernel_size=4, padding=1), 2, None),
    "transposed 3": (lambda: Up(kernel_size=3, padding=1, output_padding=1), 2, None),
    "dilated pool": (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.AvgPool2d(3, 1, 1)), 1, Reach(1, 1, 1)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "one-sided"])
def test_against_autograd(name):
    make, period, expected = NETWORKS[name]
    network = averaging(make())
    of = reach(make(), period=period)
    assert of.radius == seen(network, period, of.stride, 16 * period)
    assert expected is None or of == expected


def test_the_small_preset_is_tight():
    network = SmallUNet((4, 4, 4), 4)
    of = reach(SmallUNet(), period=16)
    assert (of.stride, of.period) == (2, 16)
    assert of == reach(network, period=16)  # the widths don't matter
    assert of.radius == seen(averaging(network), 16, 2, 2 * of.radius + 4 * 16 - 2 * of.radius % 16)


def test_the_paper_preset_is_tight():
    network = ResidualUNet(width=2)
    of = reach(network, period=8)
    assert of == reach(ResidualUNet(), period=8)
    network.pool = nn.AvgPool2d(2)  # as wide as the maximum
    assert of.radius == seen(averaging(network), 8, 1, 2 * of.radius + 4 * 8 - 2 * of.radius % 8)


def test_random_weights_see_no_farther():
    torch.manual_seed(0)  # four channels of some other draws are all dead, and no pixel has a gradient
    of = reach(ResidualUNet(width=4), period=8)
    network = ResidualUNet(width=4).double().eval()
    nn.init.normal_(network.head.weight)
    assert seen(network, 8, 1, 168) <= of.radius


class Residual(nn.Module):
    def __init__(self, other):
        super().__init__()
        self.near, self.other = nn.Conv2d(3, 3, 3, padding=1), other

    def forward(self, x):
        return self.near(x) + self.other(x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    ("network", "operator"),
    [
        (nn.Sequential(nn.GroupNorm(1, 3), nn.Conv2d(3, 1, 1)), "group_norm"),
        (nn.Sequential(nn.InstanceNorm2d(3), nn.Conv2d(3, 1, 1)), "instance_norm"),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.Conv2d(3, 1, 1)), "native_batch_norm"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular")), ""),
        (nn.Sequential(nn.Conv2d(3, 1, 4, padding="same")), "constant_pad_nd"),
        (nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")), "upsample_bilinear2d"),
        (Residual(nn.AdaptiveAvgPool2d(1)), "add"),  # of a picture and one pixel
    ],
)
def test_what_sees_the_whole_picture_or_is_unknown_is_refused(network, operator):
    with pytest.raises(InputError, match=rf"`aten::\w*({operator})\w*.*tile=None"):
        reach(network, period=2)


def test_a_finer_grid_than_the_picture_is_refused():
    with pytest.raises(InputError, match=r"128.*64"):
        reach(nn.Sequential(nn.Conv2d(3, 1, 1), nn.Upsample(scale_factor=2)), period=1)


def test_the_place_is_named():
    with pytest.raises(InputError, match=r"`other`.*`aten::"):
        reach(Residual(nn.GroupNorm(1, 3)), period=1)


def test_the_halo_is_reach_period_and_two_windows_rounded_up():
    assert halo(Reach(2, 16, 101), 2) == 128  # 101 + 16 + 2 * 2 * 2 = 125
    assert halo(Reach(2, 16, 101), 3) == 144
    assert halo(Reach(1, 8, 51), 2) == 64
    assert halo(Reach(1, 1, 0), 2) == 5


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_what_is_written_down_for_a_preset_is_what_is_computed(preset):
    network = new_network(preset)
    assert REACHES[preset] == reach(network, period=int(network.period))
