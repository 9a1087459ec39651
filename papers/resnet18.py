"""The residual network of 18 layers for small images, of any width."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from linnet.models import BasicBlock


class ResNet18(nn.Module):
    """A 3x3 convolution, four stages of two basic blocks of widths w, 2w, 4w, 8w, mean, linear.

    Args:
        input_shape: (channels, height, width) of one image.
        classes: Number of logits.
        width: w.

    Source:
        He et al. 2016, with a 3x3 first convolution and no pooling, as is usual for 32 x 32 images.
    """

    def __init__(self, *, input_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, width: int = 64) -> None:
        super().__init__()
        first = nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)
        layers: list[nn.Module] = [first, nn.BatchNorm2d(width), nn.ReLU()]
        for number, (inputs, outputs) in enumerate(pairwise((width, width, 2 * width, 4 * width, 8 * width))):
            layers += [BasicBlock(inputs, outputs, stride=2 if number else 1), BasicBlock(outputs, outputs)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        return self.head(self.features(images).mean(dim=(2, 3)))
