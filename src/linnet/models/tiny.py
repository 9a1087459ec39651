"""The smallest convolutional classifier that is worth training."""

from torch import Tensor, nn

from linnet.errors import InputError


class Tiny(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU, max pooling between them, mean over positions, linear.

    Args:
        input_shape: (channels, height, width) of one image, at least 2 x 2.
        classes: Number of logits.
        width: Channels after the first convolution; the second has twice as many.

    Raises:
        InputError: the image is too small, or `width` is below 1.
    """

    def __init__(self, *, input_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, width: int = 16) -> None:
        super().__init__()
        channels, height, across = input_shape
        if min(height, across) < 2 or width < 1:
            raise InputError(
                f"`input_shape` must have at least 2 x 2 pixels, and `width` must be >= 1 (got {input_shape} and "
                f"{width})."
            )
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        x = self.pool(self.bn1(self.conv1(images)).relu())
        x = self.bn2(self.conv2(x)).relu()
        return self.head(x.mean(dim=(2, 3)))
