"""Networks whose output is known or lively, for the tests of detection."""

import torch
from torch import nn

from linnet import models
from linnet.nuclei.detector.files import PRESETS


class Spotter(nn.Module):
    """Identity-like: wherever one spot of light lies, the map peaks at its cell and the offset leads to its middle.

    One convolution: channel 0 a Gaussian of the distance between pixel and cell centre, channels 1 and 2 the first
    moments of the light, in units of the stride. For a single spot whose values sum to `light` the offset is exact.
    """

    def __init__(self, stride, light=1.0, *, cells_beyond=2):
        super().__init__()
        self.stride = self.period = stride
        side = stride * (2 * cells_beyond + 1)
        self.look = nn.Conv2d(3, 3, side, stride, padding=cells_beyond * stride)
        at = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
        y, x = torch.meshgrid(at, at, indexing="ij")
        near = torch.exp(-0.5 * (y**2 + x**2) / 2.0**2)
        with torch.no_grad():
            self.look.weight.zero_()
            self.look.weight[:, 0] = torch.stack([12 * near, y / stride, x / stride]) / light
            self.look.bias.copy_(torch.tensor([-4.0, 0.0, 0.0]))

    def forward(self, x):
        return self.look(x.relu())  # what lies outside the picture is below 0


def lively(preset, *, rng_seed=0, **options):
    """A preset with random weights and statistics whose map has many peaks of different heights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        network = models.create(PRESETS[preset], **options)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.8, 1.2)
                nn.init.normal_(module.bias, 0.0, 0.2)
                nn.init.normal_(module.running_mean, 0.0, 0.2)
                nn.init.uniform_(module.running_var, 0.8, 1.25)
        nn.init.normal_(network.head.weight, 0.0, 0.1)
        nn.init.zeros_(network.head.bias)
        _spread(network.eval(), torch.rand(1, 3, 64, 64))
    return network


@torch.no_grad()
def _spread(network, images):
    """Shifts and scales the map's logits to mean 0 and standard deviation 1.5."""
    logit = network(images)[:, 0]
    rows = slice(0, (network.stride**2) if network.head.out_channels > 1 else 1)  # those that become channel 0
    network.head.weight[rows] *= 1.5 / logit.std()
    network.head.bias[rows] = -logit.mean() * 1.5 / logit.std()
