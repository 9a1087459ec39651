"""Residual network for small images (the CIFAR type)."""

from torch import Tensor, nn
from torch.nn.functional import relu

from linnet.errors import InputError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to their input.

    Where width or stride changes, the input goes through a 1x1 convolution with batch norm.

    Args:
        inputs: Channels that come in.
        width: Channels that go out.
        stride: Of the first convolution.
    """

    def __init__(self, inputs: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, ceil(H / stride), ceil(W / stride)) of (N, inputs, H, W)."""
        y = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """3x3 convolution, three stages of basic blocks of widths w, 2w, 4w (later ones halve the size), mean, linear.

    Args:
        input_shape: (channels, height, width) of one image; height and width may be anything.
        classes: Number of logits.
        depth: 6n + 2 weighted layers for n blocks a stage: 8, 14, 20, 32, 44, 56, ...
        width: w, channels of the first stage.

    Raises:
        InputError: `depth` isn't 6n + 2 with n >= 1, or `width` is below 1.

    Source:
        He et al. 2016, section 4.2. Shortcuts by 1x1 convolution (their option B) where they take padding (A): ours.
    """

    def __init__(
        self, *, input_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, depth: int = 20, width: int = 16
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise InputError(f"`depth` must be 6n + 2, such as 8, 14, 20 or 32 (got {depth}).")
        if width < 1:
            raise InputError(f"`width` must be a whole number >= 1 (got {width}).")
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks=blocks, stride=1)
        self.layer2 = _stage(width, 2 * width, blocks=blocks, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks=blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        x = relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.head(self.pool(x).flatten(1))


def _stage(inputs: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, width, stride=stride)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def resnet20(*, input_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, width: int = 16) -> ResNet:
    """`ResNet` of 20 weighted layers.

    Args:
        input_shape: (channels, height, width) of one image.
        classes: Number of logits.
        width: Channels of the first stage.
    """
    return ResNet(input_shape=input_shape, classes=classes, depth=20, width=width)


def resnet56(*, input_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, width: int = 16) -> ResNet:
    """`ResNet` of 56 weighted layers.

    Args:
        input_shape: (channels, height, width) of one image.
        classes: Number of logits.
        width: Channels of the first stage.
    """
    return ResNet(input_shape=input_shape, classes=classes, depth=56, width=width)
