"""Plain, residual and dense convolution networks, 1-d to 3-d."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.zoo.entry import FREE, INPUT, OUTPUT, Entry


def conv_bn(cin, cout, k=3, *, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(cin, cout, k, stride=stride, padding=k // 2, groups=groups, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


def vgg():
    return nn.Sequential(
        conv_bn(3, 8),
        conv_bn(8, 10),
        nn.MaxPool2d(2),
        conv_bn(10, 12),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, 5),
    )


class Basic(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.down = None
        if stride != 1 or cin != cout:
            self.down = nn.Sequential(nn.Conv2d(cin, cout, 1, stride=stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.down is None else self.down(x)
        return F.relu(y)


class Bottleneck(nn.Module):
    def __init__(self, width, inner, groups=1):
        super().__init__()
        self.a, self.b = conv_bn(width, inner, 1), conv_bn(inner, inner, 3, groups=groups)
        self.c = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return F.relu(x + self.c(self.b(self.a(x))))


class Residual(nn.Module):
    def __init__(self, *blocks, width):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(blocks[-1].out if hasattr(blocks[-1], "out") else width, 4)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Resnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 6)
        self.layer1, self.layer2 = nn.Sequential(Basic(6, 6), Basic(6, 6)), nn.Sequential(Basic(6, 8, 2))
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


class PreActivation(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(9)
        self.conv1 = nn.Conv2d(width, 9, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(9, width, 3, padding=1, bias=False)

    def forward(self, x):
        return x + self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))


class DenseLayer(nn.Module):
    def __init__(self, cin, growth):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(cin), nn.Conv2d(cin, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv(F.relu(self.bn(x)))], 1)


def densenet():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        DenseLayer(6, 4),
        DenseLayer(10, 4),
        nn.BatchNorm2d(14),
        nn.ReLU(),
        nn.Conv2d(14, 7, 1),
        nn.AvgPool2d(2),
        DenseLayer(7, 4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(11, 4),
    )


def conv1d():
    return nn.Sequential(
        nn.Conv1d(3, 6, 5),
        nn.BatchNorm1d(6),
        nn.GELU(),
        nn.MaxPool1d(2),
        nn.Conv1d(6, 8, 3),
        nn.Flatten(),
        nn.Linear(48, 3),
    )


def conv3d():
    return nn.Sequential(
        nn.Conv3d(2, 5, 3), nn.BatchNorm3d(5), nn.SiLU(), nn.ConvTranspose3d(5, 4, 2), nn.ReLU(), nn.Conv3d(4, 3, 1)
    )


class Unflatten(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.conv, self.out = nn.Linear(7, 6 * 9), nn.Conv2d(6, 5, 3, padding=1), nn.Conv2d(5, 2, 1)

    def forward(self, z):
        return self.out(F.relu(self.conv(F.relu(self.fc(z)).view(z.shape[0], -1, 3, 3))))


def all_equal():
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.Sigmoid(), nn.Conv2d(4, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 1)
    )


class Shortcut(nn.Module):
    """A residual block whose shortcut pads channels with zeros."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        return self.head(F.relu(self.conv(x) + F.pad(x, (0, 0, 0, 0, 2, 2))))


ENTRIES = [
    Entry(
        "vgg",
        vgg,
        (3, 8, 8),
        {"input": INPUT, "0.0": FREE, "1.0": FREE, "3.0": FREE, "6": FREE, "9": OUTPUT},
        sizes={"3.0": 12, "6": 16},
    ),
    Entry(
        "resnet",
        Resnet,
        (3, 8, 8),
        {
            "input": INPUT,
            "stem.0": FREE,
            "layer1.0.conv1": FREE,
            "layer1.1.conv1": FREE,
            "layer2.0.conv1": FREE,
            "layer2.0.conv2": FREE,
            "fc": OUTPUT,
        },
        sizes={"stem.0": 6, "layer2.0.conv2": 8},
    ),
    Entry(
        "bottleneck",
        lambda: Residual(Bottleneck(12, 5), Bottleneck(12, 5), width=12),
        (3, 6, 6),
        {
            "input": INPUT,
            "stem": FREE,
            "blocks.0.a.0": FREE,
            "blocks.0.b.0": FREE,
            "blocks.1.a.0": FREE,
            "blocks.1.b.0": FREE,
            "head": OUTPUT,
        },
    ),
    Entry(
        "preactivation",
        lambda: Residual(PreActivation(8), PreActivation(8), width=8),
        (3, 6, 6),
        {"input": INPUT, "stem": FREE, "blocks.0.conv1": FREE, "blocks.1.conv1": FREE, "head": OUTPUT},
    ),
    Entry(
        "densenet",
        densenet,
        (3, 8, 8),
        {"input": INPUT, "0": FREE, "1.conv": FREE, "2.conv": FREE, "5": FREE, "7.conv": FREE, "10": OUTPUT},
    ),
    Entry("conv1d", conv1d, (3, 20), {"input": INPUT, "0": FREE, "4": FREE, "6": OUTPUT}),
    Entry("conv3d", conv3d, (2, 6, 6, 6), {"input": INPUT, "0": FREE, "3": FREE, "5": OUTPUT}),
    Entry("unflatten", Unflatten, (7,), {"input": INPUT, "fc": FREE, "conv": FREE, "out": OUTPUT}, sizes={"fc": 6}),
    Entry("all equal", all_equal, (4, 4, 4), {"input": INPUT, "0": FREE, "2": FREE, "4": OUTPUT}),
    Entry(
        "padded shortcut", Shortcut, (3, 5, 5), {"input": INPUT, "conv": "is a constant", "stem": FREE, "head": OUTPUT}
    ),
]
