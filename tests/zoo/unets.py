"""Pixel-to-pixel networks: up-sampling, transposed convolution, pixel shuffles."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.zoo.convnets import conv_bn
from tests.zoo.entry import FREE, INPUT, OUTPUT, Entry


class Unet(nn.Module):
    def __init__(self, *, transposed):
        super().__init__()
        self.enc1, self.enc2 = conv_bn(3, 6), conv_bn(6, 8)
        self.mid = conv_bn(8, 10)
        self.up2 = nn.ConvTranspose2d(10, 7, 2, 2) if transposed else nn.Identity()
        self.dec2 = conv_bn(8 + (7 if transposed else 10), 8)
        self.up1 = nn.ConvTranspose2d(8, 5, 2, 2) if transposed else nn.Identity()
        self.dec1 = conv_bn(6 + (5 if transposed else 8), 6)
        self.out = nn.Conv2d(6, 2, 1)
        self.transposed = transposed

    def up(self, layer, x):
        return layer(x) if self.transposed else F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, x):
        a = self.enc1(x)
        b = self.enc2(F.max_pool2d(a, 2))
        c = self.mid(F.max_pool2d(b, 2))
        b = self.dec2(torch.cat([self.up(self.up2, c), b], 1))
        return self.out(self.dec1(torch.cat([a, self.up(self.up1, b)], 1)))


def pixel_shuffle():
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.PixelShuffle(2), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)
    )


def pixel_unshuffle():
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.ReLU(),
        nn.PixelUnshuffle(2),
        nn.Conv2d(20, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 2, 1),
    )


class ShuffleByHand(nn.Module):
    """Pixel shuffle and its inverse written as view, permute, reshape."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 12, 1), nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(20, 2, 1)

    def forward(self, x):
        y = F.relu(self.a(x))
        n, c, h, w = y.shape
        y = y.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)
        y = F.relu(self.b(y))
        c = y.shape[1]
        y = y.view(n, c, h, 2, w, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h, w)
        return self.c(y)


class FoldUnfold(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Conv2d(3, 4, 1), nn.Linear(16, 12), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        _, _, h, w = x.shape
        patches = F.unfold(F.relu(self.a(x)), 2, stride=2).transpose(1, 2)
        return self.out(F.fold(self.b(patches).transpose(1, 2), (h, w), 2, stride=2))


ENTRIES = [
    Entry(
        "unet",
        lambda: Unet(transposed=False),
        (3, 8, 8),
        {"input": INPUT, "enc1.0": FREE, "enc2.0": FREE, "mid.0": FREE, "dec2.0": FREE, "dec1.0": FREE, "out": OUTPUT},
    ),
    Entry(
        "unet transposed",
        lambda: Unet(transposed=True),
        (3, 8, 8),
        {
            "input": INPUT,
            "enc1.0": FREE,
            "enc2.0": FREE,
            "mid.0": FREE,
            "up2": FREE,
            "dec2.0": FREE,
            "up1": FREE,
            "dec1.0": FREE,
            "out": OUTPUT,
        },
    ),
    Entry(
        "pixel shuffle", pixel_shuffle, (3, 5, 5), {"input": INPUT, "0": FREE, "3": FREE, "5": OUTPUT}, sizes={"0": 6}
    ),
    Entry(
        "pixel unshuffle",
        pixel_unshuffle,
        (3, 6, 6),
        {"input": INPUT, "0": FREE, "3": FREE, "5": OUTPUT},
        sizes={"0": 5},
    ),
    Entry(
        "shuffle by hand",
        ShuffleByHand,
        (3, 4, 4),
        {"input": INPUT, "a": FREE, "b": FREE, "c": OUTPUT},
        sizes={"a": 3, "b": 5},
    ),
    Entry("fold", FoldUnfold, (3, 6, 6), {"input": INPUT, "a": FREE, "b": FREE, "out": OUTPUT}, sizes={"a": 4, "b": 3}),
]
