"""Multilayer perceptron on images."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from linnet.errors import InputError


class MLP(nn.Module):
    """Flattened image -> hidden layers with ReLU -> logits.

    Args:
        input_shape: (channels, height, width) of one image.
        classes: Number of logits.
        hidden: Width of each hidden layer; none: a linear classifier.

    Raises:
        InputError: a size is below 1.
    """

    def __init__(
        self, *, input_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, hidden: Sequence[int] = (256, 256)
    ) -> None:
        super().__init__()
        widths = [math.prod(input_shape), *hidden, classes]
        if min(widths) < 1:
            raise InputError(
                "every size in `input_shape`, `hidden` and `classes` must be a whole number >= 1 (got "
                f"{input_shape}, {tuple(hidden)}, {classes})."
            )
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(widths[:-1]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-2], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, *input_shape)."""
        return self.head(self.body(images))
