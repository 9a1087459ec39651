"""VGG networks for small images: 3x3 convolutions in stages, max pooling after each."""

from collections.abc import Sequence
from itertools import chain, pairwise

from torch import Tensor, nn

from linnet.errors import InputError

_VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_THIN = ((16, 16), (32, 32), (64, 64))


class VGG(nn.Module):
    """Stages of 3x3 convolutions with batch norm and ReLU, each ended by max pooling; mean over positions, linear.

    Args:
        input_shape: (channels, height, width) of one image, at least 2 x 2. Pooling stops when one pixel is left.
        classes: Number of logits.
        stages: Channels after each convolution, stage by stage. The default is thin: for 32 x 32 RGB images 72,954
            parameters and 9.9 million multiply-accumulates.

    Raises:
        InputError: the image is too small, or a stage is empty or has a width below 1.

    Source:
        Simonyan & Zisserman 2015 for the convolutions; batch norm and one linear layer, as is usual for CIFAR-10. Start
        values N(0, 2 / (9 width)) of convolutions and N(0, 0.01^2) of the linear layer: usual for that network.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        stages: Sequence[Sequence[int]] = _THIN,
    ) -> None:
        super().__init__()
        channels, height, across = input_shape
        if min(height, across) < 2 or not stages or not all(stages) or min(chain(*stages)) < 1:
            raise InputError(
                "`input_shape` must have at least 2 x 2 pixels, and each of `stages` at least one width, each >= "
                f"1 (got {input_shape} and {stages})."
            )
        layers: list[nn.Module] = []
        side = min(height, across)
        for stage in stages:
            for inputs, width in pairwise((channels, *stage)):
                layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = stage[-1]
            if side >= 2:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        return self.head(self.features(images).mean(dim=(2, 3)))


def vgg16(*, input_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10) -> VGG:
    """The network of 13 convolutions and one linear layer: for 32 x 32 RGB images and 10 classes 14,724,042 parameters.

    Args:
        input_shape: (channels, height, width) of one image.
        classes: Number of logits.

    Source:
        Simonyan & Zisserman 2015 (configuration D), with batch norm and one linear layer.
    """
    return VGG(input_shape=input_shape, classes=classes, stages=_VGG16)
