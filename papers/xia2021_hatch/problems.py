"""The images: halved in size, with validation images that no training sees and corruptions that are made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from linnet.data import ImageSet, corrupt, corruption_names, mnist
from linnet.engine import derive_seed
from papers.images import read_sets, subset
from papers.xia2021_hatch.scales import Scale

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Problem:
    """Images that are ready for a network.

    Attributes:
        train: (images, labels).
        validation: The same, which chooses dials and temperatures.
        validation_shift: Validation images under the four extra corruptions, by name and severity.
        test: Test images.
        shift: Test images under the fifteen corruptions of the suite.
        outside: Images of another set; None for colour images.
    """

    train: Pair
    validation: Pair
    validation_shift: Mapping[str, Pair]
    test: Pair
    shift: Mapping[str, Pair]
    outside: Tensor | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, channels, height, width = self.train[0].shape
        return channels, height, width


@cache
def problem(name: str, scale: Scale, root: Path | None) -> Problem:
    """The images of a set; the same at every call.

    Args:
        name: Of the set.
        scale: How many of them.
        root: Folder that holds the sets; None: where `linnet.data` finds them.
    """
    train, test = read_sets(name, root)
    train = subset(train, scale.train + scale.held)
    pixels, labels = _halved(train), train.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(derive_seed(0, "held")))
    held, learnt = order[: scale.held], order[scale.held :]
    test = subset(test, scale.held)
    answers = _halved(test)
    floats = pixels[learnt].float() / 255
    mean, spread = floats.mean((0, 2, 3), keepdim=True), floats.std((0, 2, 3), keepdim=True)

    def ready(images: Tensor) -> Tensor:
        return ((images.float() / 255 - mean) / spread).contiguous(memory_format=torch.channels_last)

    def shifted(images: Tensor, truth: Tensor, suite: str) -> dict[str, Pair]:
        few, known = images[: scale.shifted].permute(0, 2, 3, 1).contiguous(), truth[: scale.shifted]
        return {
            f"{corruption}/{severity}": (ready(corrupt(few, corruption, severity).permute(0, 3, 1, 2)), known)
            for corruption in corruption_names(suite, channels=few.shape[-1])
            for severity in scale.severities
        }

    outside = None
    if name == "fashion_mnist":
        digits = subset(mnist("test", root=None if root is None else root / "mnist"), scale.held)
        outside = ready(_halved(digits))
    return Problem(
        (ready(pixels[learnt]), labels[learnt]),
        (ready(pixels[held]), labels[held]),
        shifted(pixels[held], labels[held], "extra4"),
        (ready(answers), test.labels),
        shifted(answers, test.labels, "cifar15"),
        outside,
    )


def _halved(images: ImageSet) -> Tensor:
    """uint8 images of half the size, by the mean of 2 x 2 pixels; small ones as they are."""
    if min(images.image_shape[1:]) < 16:
        return images.images
    return avg_pool2d(images.images.float(), 2).round().to(torch.uint8)
