"""Networks small enough to be trained in a benchmark, and a batch for them."""

from __future__ import annotations

import torch
from torch import nn

from linnet.models import ResNet


def mlp3(width: int = 512, *, inputs: int = 784, classes: int = 10) -> nn.Sequential:
    """Three linear layers with ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes)
    )


def small_cnn(*, classes: int = 10) -> nn.Sequential:
    """Two strided 3x3 convolutions of 16 and 32 channels and a linear layer, for 1 x 28 x 28 images."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 49, classes),
    )  # fmt: skip


def small_resnet(*, classes: int = 10, width: int = 8) -> nn.Module:
    """ResNet-8 with group norm of 4 groups, so that each image's logits depend on it alone, as "exact" needs."""
    model = ResNet(input_shape=(3, 32, 32), classes=classes, depth=8, width=width)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(4, child.num_features))
    return model


def batch(shape: tuple[int, ...], samples: int, *, classes: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Standard normal inputs and random labels, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(samples, *shape, generator=generator), torch.randint(0, classes, (samples,), generator=generator)
