"""ImageSet: pictures of one size with a class each, and its division in two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from linnet.data.files import sha256
from linnet.errors import DataError, InputError


@dataclass(frozen=True)
class ImageSet:
    """Pictures of one size, each of one class.

    Attributes:
        images: uint8, (N, C, H, W).
        labels: int64, (N,), each in 0 .. len(classes) - 1.
        classes: Name of each class; a class may be empty.
        name: What the set is called in records.
        digest: SHA-256 of what it was read from, in hexadecimal.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    digest: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or 0 in self.images.shape:
            raise DataError(
                f"{self.name}: `images` must be uint8 of shape (N, C, H, W) with no side 0 (got "
                f"{self.images.dtype} of shape {tuple(self.images.shape)})."
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"{self.name}: `labels` must be int64 of shape ({len(self.images)},), one for each image (got "
                f"{self.labels.dtype} of shape {tuple(self.labels.shape)})."
            )
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise DataError(
                f"{self.name}: `labels` must be from 0 to {len(self.classes) - 1}, as there are "
                f"{len(self.classes)} classes (got {low} to {high})."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def counts(self) -> tuple[int, ...]:
        """Number of images of each class."""
        return tuple(torch.bincount(self.labels, minlength=len(self.classes)).tolist())

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over all pixels, on the scale where 255 is 1.

        Exact: they are computed from the histogram of the 256 values. A constant channel has standard deviation 0.
        """
        values = np.arange(256) / 255.0
        means, deviations = [], []
        for channel in self.images.unbind(1):
            histogram = np.bincount(channel.numpy().reshape(-1), minlength=256)
            weights = histogram / histogram.sum()
            mean = float(weights @ values)
            means.append(mean)
            deviations.append(float(np.sqrt(weights @ (values - mean) ** 2)))
        return tuple(means), tuple(deviations)

    def take(self, indices: Tensor | Sequence[int]) -> "ImageSet":
        """The images at `indices` (int64, in the order given); the digest covers the choice too."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        digest = sha256(self.digest.encode(), chosen.numpy().tobytes())
        return ImageSet(self.images[chosen], self.labels[chosen], self.classes, self.name, digest)


def hold_out(image_set: ImageSet, fraction: float, *, rng_seed: int) -> tuple[ImageSet, ImageSet]:
    """Divides a set at random, class by class.

    Of each class with n images round(n fraction) are held out, at least one and at most n - 1; a class with one image
    stays whole in the first part.

    Args:
        image_set: What to divide.
        fraction: Share to hold out, 0 < fraction < 1.
        rng_seed: Same seed, same division.

    Returns:
        (rest, held_out), both in the order of `image_set`.

    Raises:
        InputError: `fraction` isn't between 0 and 1, or no class has two images.
    """
    if not 0 < fraction < 1:
        raise InputError(f"`fraction` must be a share between 0 and 1 (got {fraction}).")
    generator = np.random.default_rng(rng_seed)
    labels = image_set.labels.numpy()
    held = np.zeros(len(labels), dtype=bool)
    for label in range(len(image_set.classes)):
        members = np.flatnonzero(labels == label)
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        if count > 0:
            held[generator.permutation(members)[:count]] = True
    if not held.any():
        raise InputError(f"{image_set.name} must have a class with at least two images, or none can be held out.")
    return image_set.take(np.flatnonzero(~held).tolist()), image_set.take(np.flatnonzero(held).tolist())
