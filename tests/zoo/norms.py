"""Normalisations, gates and per-channel parameters."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.zoo.entry import FREE, INPUT, OUTPUT, UNIFORM, Entry


class ConvNext(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.stem, self.dw = nn.Conv2d(3, width, 2, 2), nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        y = self.gamma * self.fc2(F.gelu(self.fc1(y)))
        return self.head((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


def group_norm():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 1)
    )


def instance_norm():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.InstanceNorm2d(6, affine=True),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3),
        nn.InstanceNorm2d(5, track_running_stats=True),
        nn.Conv2d(5, 2, 1),
    )


def prelu():
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.PReLU(6), nn.Conv2d(6, 5, 3), nn.PReLU(), nn.Conv2d(5, 2, 1))


class RmsMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b, self.c = nn.Linear(5, 8), nn.RMSNorm(8), nn.Linear(8, 7), nn.Linear(7, 3)

    def forward(self, x):
        x = self.a(x)
        return self.c(F.silu(self.b(self.norm(x))))


class BareNorms(nn.Module):
    """Norms without weights: their sizes are attributes only."""

    def __init__(self):
        super().__init__()
        self.a, self.bn = nn.Linear(5, 8), nn.BatchNorm1d(8, affine=False, track_running_stats=False)
        self.b, self.norm, self.c = nn.Linear(8, 6), nn.LayerNorm(6, elementwise_affine=False), nn.Linear(6, 3)

    def forward(self, x):
        return self.c(self.norm(self.b(torch.relu(self.bn(self.a(x))))))


class GluChunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 12, 3), nn.Conv2d(6, 10, 3), nn.Conv2d(5, 2, 1)

    def forward(self, x):
        x, gate = self.a(x).chunk(2, dim=1)
        return self.c(F.glu(self.b(x * torch.sigmoid(gate)), 1))


class GluSlices(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 12), nn.Linear(6, 8), nn.Linear(4, 2)

    def forward(self, x):
        y = self.a(x)
        half = y.shape[-1] // 2
        y = self.b(y[..., :half] * F.gelu(y[..., half:]))
        return self.c(y[..., ::2] * torch.tanh(y[..., 1::2]))


class HardSlices(nn.Module):
    """The same with the number written down: it can't follow."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 12), nn.Linear(6, 2)

    def forward(self, x):
        y = self.a(x)
        return self.b(y[:, :6] * torch.sigmoid(y[:, 6:]))


ENTRIES = [
    Entry(
        "convnext",
        ConvNext,
        (3, 8, 8),
        {"input": INPUT, "stem": UNIFORM, "fc1": FREE, "head": OUTPUT},
        sizes={"stem": 6, "fc1": 24},
    ),
    Entry("group norm", group_norm, (3, 7, 7), {"input": INPUT, "0": UNIFORM, "3": FREE, "5": OUTPUT}),
    Entry("instance norm", instance_norm, (3, 8, 8), {"input": INPUT, "0": FREE, "3": FREE, "5": OUTPUT}),
    Entry("prelu", prelu, (3, 7, 7), {"input": INPUT, "0": FREE, "2": FREE, "4": OUTPUT}),
    Entry("rms norm", RmsMlp, (5,), {"input": INPUT, "a": UNIFORM, "b": FREE, "c": OUTPUT}),
    Entry("bare norms", BareNorms, (5,), {"input": INPUT, "a": FREE, "b": UNIFORM, "c": OUTPUT}),
    Entry(
        "glu chunk", GluChunk, (3, 7, 7), {"input": INPUT, "a": FREE, "b": FREE, "c": OUTPUT}, sizes={"a": 6, "b": 5}
    ),
    Entry("glu slices", GluSlices, (5,), {"input": INPUT, "a": FREE, "b": FREE, "c": OUTPUT}, sizes={"a": 6, "b": 4}),
    Entry("hard slices", HardSlices, (5,), {"input": INPUT, "a": "can't be doubled", "b": OUTPUT}),
]
