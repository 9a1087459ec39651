"""Weights used twice, several outputs, the same tensor joined with itself."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.zoo.entry import FREE, INPUT, OUTPUT, Entry


class Reuse(nn.Module):
    """One block applied three times."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.bn, self.head = (
            nn.Conv2d(3, 6, 3, padding=1),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 2, 1),
        )

    def forward(self, x):
        x = self.stem(x)
        for _ in range(3):
            x = F.relu(self.bn(self.block(x)))
        return self.head(x)


class Tied(nn.Module):
    """An autoencoder whose decoder is the encoder's weight, transposed."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(5, 8)
        self.middle = nn.Linear(8, 8)
        self.out_bias = nn.Parameter(torch.zeros(5))

    def forward(self, x):
        h = torch.tanh(self.middle(torch.tanh(self.encoder(x))))
        return F.linear(h, self.encoder.weight.t(), self.out_bias)


class TiedModules(nn.Module):
    """Two layers that own the same tensors."""

    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b, self.head = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.b.weight, self.b.bias = self.a.weight, self.a.bias

    def forward(self, x):
        return self.head(F.relu(self.b(F.relu(self.a(F.relu(self.stem(x)))))))


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mask, self.points = nn.Conv2d(3, 7, 3), nn.Conv2d(7, 2, 1), nn.Conv2d(7, 3, 1)
        self.features = nn.Conv2d(7, 4, 1)

    def forward(self, x):
        y = F.elu(self.body(x))
        return {"mask": self.mask(y), "points": [self.points(y), self.features(y).mean((2, 3))]}


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 5, 1), nn.Conv2d(10, 6, 1), nn.Conv2d(12, 2, 1)

    def forward(self, x):
        y = F.relu(self.a(x))
        y = F.relu(self.b(torch.cat([y, y], 1)))
        return self.c(y.repeat(1, 2, 1, 1))


class Pyramid(nn.Module):
    """Levels stacked and summed; a constant grid of coordinates joined."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 1), nn.Conv2d(7, 4, 1)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        y = torch.stack([self.a(x), self.b(x)]).sum(0)
        rows = (
            torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)
            .view(1, 1, -1, 1)
            .expand(x.shape[0], 2, -1, x.shape[3])
        )
        return self.out(torch.where(y.mean(1, keepdim=True) > 0, self.c(torch.cat([rows, torch.tanh(y)], 1)), 0.0))


ENTRIES = [
    Entry("reuse", Reuse, (3, 5, 5), {"input": INPUT, "stem": FREE, "head": OUTPUT}),
    Entry("tied", Tied, (5,), {"input": "model's", "encoder": "both made and summed"}),
    Entry("tied modules", TiedModules, (5,), {"input": INPUT, "stem": FREE, "head": OUTPUT}),
    Entry(
        "two heads",
        TwoHeads,
        (3, 6, 6),
        {"input": INPUT, "body": FREE, "mask": OUTPUT, "points": OUTPUT, "features": OUTPUT},
    ),
    Entry("twice", Twice, (3, 4, 4), {"input": INPUT, "a": FREE, "b": FREE, "c": OUTPUT}),
    Entry(
        "pyramid",
        Pyramid,
        (3, 6, 6),
        {"input": INPUT, "a": "taken together", "c": FREE, "constant": "constant", "out": OUTPUT},
    ),
]
