"""Depthwise, grouped and gated convolutions; channel shuffles."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.zoo.convnets import Bottleneck, Residual, conv_bn
from tests.zoo.entry import FREE, INPUT, OUTPUT, Entry


class Inverted(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x):
        return x + self.body(x)


def multiplier():
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 10, 3, groups=5), nn.BatchNorm2d(10), nn.ReLU(), nn.Conv2d(10, 4, 1)
    )


class SqueezeExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.down, self.up, self.out = (
            nn.Conv2d(3, 8, 3),
            nn.Conv2d(8, 3, 1),
            nn.Conv2d(3, 8, 1),
            nn.Conv2d(8, 4, 1),
        )
        self.where = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        x = F.relu(self.stem(x))
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return self.out(x * gate * torch.sigmoid(self.where(x)))


class ShuffleV1(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.a, self.dw, self.b = (
            nn.Conv2d(8, 12, 1, groups=2),
            nn.Conv2d(12, 12, 3, padding=1, groups=12),
            nn.Conv2d(12, 8, 1, groups=2),
        )
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        y = F.relu(self.a(x))
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(F.relu(x + self.b(self.dw(y))))


class ShuffleModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.shuffle, self.b = nn.Conv2d(3, 18, 1), nn.ChannelShuffle(3), nn.Conv2d(18, 6, 3, groups=3)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        return self.head(F.relu(self.b(self.shuffle(F.relu(self.a(x))))))


class ShuffleV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.branch = nn.Sequential(conv_bn(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4), conv_bn(4, 4, 1))
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        left, right = self.stem(x).chunk(2, dim=1)
        y = torch.cat([left, self.branch(right)], 1)
        n, c, h, w = y.shape
        return self.head(y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))


class GroupedTransposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.up, self.dw = (
            nn.Conv2d(3, 8, 1),
            nn.ConvTranspose2d(8, 6, 2, 2, groups=2),
            nn.ConvTranspose2d(6, 6, 2, groups=6),
        )
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        return self.head(F.relu(self.dw(F.relu(self.up(F.relu(self.a(x)))))))


ENTRIES = [
    Entry(
        "mobilenet",
        lambda: Residual(Inverted(6, 14), Inverted(6, 14), width=6),
        (3, 6, 6),
        {"input": INPUT, "stem": FREE, "blocks.0.body.0": FREE, "blocks.1.body.0": FREE, "head": OUTPUT},
    ),
    Entry("multiplier", multiplier, (3, 7, 7), {"input": INPUT, "0": FREE, "5": OUTPUT}, sizes={"0": 5}),
    Entry(
        "resnext",
        lambda: Residual(Bottleneck(8, 12, 3), width=8),
        (3, 6, 6),
        {"input": INPUT, "stem": FREE, "blocks.0.a.0": FREE, "blocks.0.b.0": FREE, "head": OUTPUT},
        sizes={"blocks.0.a.0": 4, "blocks.0.b.0": 4},
    ),
    Entry(
        "squeeze-excite",
        SqueezeExcite,
        (3, 7, 7),
        {"input": INPUT, "stem": FREE, "down": FREE, "where": "broadcast over many", "out": OUTPUT},
    ),
    Entry(
        "shufflenet v1",
        ShuffleV1,
        (3, 5, 5),
        {"input": INPUT, "stem": FREE, "a": FREE, "head": OUTPUT},
        sizes={"stem": 4, "a": 3},
    ),
    Entry(
        "channel shuffle",
        ShuffleModule,
        (3, 5, 5),
        {"input": INPUT, "a": FREE, "b": FREE, "head": OUTPUT},
        sizes={"a": 2, "b": 2},
    ),
    Entry(
        "shufflenet v2",
        ShuffleV2,
        (3, 5, 5),
        {"input": INPUT, "stem": FREE, "stem#2": FREE, "branch.0.0": FREE, "head": OUTPUT},
        sizes={"stem": 4, "stem#2": 4, "branch.0.0": 4},
        balanced=(("stem", "stem#2"),),
    ),
    Entry(
        "grouped transposed",
        GroupedTransposed,
        (3, 4, 4),
        {"input": INPUT, "a": FREE, "up": FREE, "head": OUTPUT},
        sizes={"a": 4, "up": 3},
    ),
]
