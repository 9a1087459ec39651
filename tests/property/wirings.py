"""Random networks: blocks of thirteen kinds, one after another."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

KINDS = [
    "conv",
    "depthwise",
    "grouped",
    "residual",
    "dense",
    "gate",
    "glu",
    "shuffle",
    "pixel",
    "reuse",
    "norm",
    "transposed",
    "twice",
]


class Wiring(nn.Module):
    """A stem, blocks one after another, a head. `repr` is the whole net: a failing example is readable."""

    def __init__(self, kinds: list[str], width: int):
        super().__init__()
        self.kinds = kinds
        self.stem = nn.Conv2d(2, width, 1)
        self.layers = nn.ModuleList()
        for kind in kinds:
            self.layers.append(self.layer(kind, width))
            width = {"dense": width + 4, "pixel": width // 4, "twice": width, "transposed": 8}.get(kind, width)
            if kind == "pixel":
                self.layers[-1].append(nn.Conv2d(width, 8, 1))
                width = 8
        self.head = nn.Conv2d(width, 2, 1)

    def layer(self, kind: str, c: int) -> nn.ModuleList:
        conv = {
            "conv": lambda: [nn.Conv2d(c, c, 3, padding=1)],
            "depthwise": lambda: [nn.Conv2d(c, c, 3, padding=1, groups=c), nn.Conv2d(c, c, 1)],
            "grouped": lambda: [nn.Conv2d(c, c, 1, groups=2)],
            "residual": lambda: [nn.Conv2d(c, 6, 1), nn.Conv2d(6, c, 3, padding=1)],
            "dense": lambda: [nn.Conv2d(c, 4, 3, padding=1)],
            "gate": lambda: [nn.Conv2d(c, 3, 1), nn.Conv2d(3, c, 1)],
            "glu": lambda: [nn.Conv2d(c, 2 * c, 1)],
            "shuffle": lambda: [nn.Conv2d(c, c, 1)],
            "pixel": list,
            "reuse": lambda: [nn.Conv2d(c, c, 1)],
            "norm": lambda: [nn.BatchNorm2d(c)],
            "transposed": lambda: [nn.ConvTranspose2d(c, 8, 1)],
            "twice": lambda: [nn.Conv2d(2 * c, c, 1)],
        }[kind]
        return nn.ModuleList(conv())

    def forward(self, x):
        x = self.stem(x)
        for kind, layers in zip(self.kinds, self.layers, strict=True):
            x = getattr(self, kind)(torch.tanh(x), *layers)
        return self.head(x)

    def conv(self, x, a):
        return a(x)

    norm = grouped = transposed = conv

    def depthwise(self, x, a, b):
        return b(F.relu(a(x)))

    def residual(self, x, a, b):
        return x + b(F.relu(a(x)))

    def dense(self, x, a):
        return torch.cat([x, a(x)], 1)

    def gate(self, x, a, b):
        return x * torch.sigmoid(b(F.relu(a(x.mean((2, 3), keepdim=True)))))

    def glu(self, x, a):
        value, gate = a(x).chunk(2, 1)
        return value * torch.sigmoid(gate)

    def shuffle(self, x, a):
        n, c, h, w = x.shape
        return a(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))

    def pixel(self, x, a):
        return a(F.avg_pool2d(F.pixel_shuffle(x, 2), 2))

    def reuse(self, x, a):
        return a(torch.sin(a(x)))

    def twice(self, x, a):
        return a(torch.cat([x, x * x], 1))
