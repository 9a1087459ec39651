"""The problem: a small network, and shards of unequal labels. Every process makes the same from the same seed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DEVICES = 3
SHARES = (0.6, 0.35, 0.2)  # of the network's parameters that each device can hold


def network(rng_seed: int = 0) -> nn.Module:
    """Two convolutions and a classifier, for pictures of one channel and any size."""
    torch.manual_seed(rng_seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(128, 10),
    )  # fmt: skip


def pictures(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images (N, 1, H, W) in 0..1 and labels (N,), then those of the test.

    Args:
        name: "digits" (of scikit-learn, 8x8) or "fashion" (Fashion-MNIST, 28x28).
    """
    if name == "fashion":
        from linnet.data import fashion_mnist

        train, test = fashion_mnist("train"), fashion_mnist("test")
        return train.images[:6000] / 255, train.labels[:6000], test.images[:2000] / 255, test.labels[:2000]
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy(images).float().view(-1, 1, 8, 8) / 16
    y = torch.from_numpy(labels).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:1400]], y[order[:1400]], x[order[1400:]], y[order[1400:]]


def shard(x: Tensor, y: Tensor, device: int) -> tuple[Tensor, Tensor]:
    """What one device has: most of three or four labels, and a few of all others."""
    own = y % DEVICES == device
    few = torch.arange(len(y)) % 10 == device
    return x[own | few], y[own | few]
