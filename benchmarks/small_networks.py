"""The networks of the natural gradient's benchmarks."""

from __future__ import annotations

import torch
from torch import nn

from linnet.models.resnet import BasicBlock, ResNet


def resnet18(width: int, *, classes: int = 10) -> nn.Sequential:
    """ResNet-18's shape: a 3x3 convolution, four stages of two blocks of widths w, 2w, 4w, 8w, mean, linear.

    Args:
        width: w; ResNet-18 has 64.
        classes: Number of logits.
    """
    stages: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for number in range(4):
        outputs = width * 2**number
        stages += [BasicBlock(inputs, outputs, stride=1 if number == 0 else 2), BasicBlock(outputs, outputs)]
        inputs = outputs
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


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
