"""Corrupted: any data set of images and labels, seen through one corruption."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from linnet.data.corruptions.application import corrupt
from linnet.data.files import sha256
from linnet.data.image_set import ImageSet
from linnet.errors import InputError


class Items(Protocol):
    """A map-style data set of torch: `len(items)`, and `items[i]` gives (image, label)."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """(image, label)."""
        ...


class Corrupted:
    """A data set whose images are corrupted when they are taken.

    Args:
        items: Gives (image, label), the image uint8 (H, W, C) or floating point (C, H, W) in [0, 1], a tensor or an
            array. Corrupt before standardising.
        name: As in `corrupt`.
        severity: As in `corrupt`.
        rng_seed: As in `corrupt`. The order in which items are taken doesn't matter.

    Raises:
        InputError: name, severity or seed don't fit; when an item is taken, it isn't such a pair.

    Example:
        >>> import torch
        >>> from linnet.data import Corrupted
        >>> digits = Corrupted([(torch.full((1, 8, 8), 0.5), 3)], "brightness", 2)
        >>> image, label = digits[0]
        >>> round(float(image[0, 0, 0]), 4), label
        (0.6, 3)
    """

    def __init__(self, items: Items, name: str, severity: int, rng_seed: int = 0) -> None:
        corrupt(
            np.zeros((0, 8, 8, 3), dtype=np.uint8), name, severity, rng_seed
        )  # refuses what is unknown, before an epoch
        self._items, self._name, self._severity, self._rng_seed = items, name, severity, rng_seed

    def __len__(self) -> int:
        """As many as the data set has."""
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(corrupted image, label)."""
        item = self._items[index]
        if not (isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], (Tensor, np.ndarray))):
            raise InputError(
                f"`items` must give pairs (image, label), the image a tensor or an array (got a "
                f"{type(item).__name__} at {index}). Convert pictures first: numpy.asarray(picture)."
            )
        return corrupt(item[0][None], self._name, self._severity, self._rng_seed)[0], item[1]


def corrupt_set(image_set: ImageSet, name: str, severity: int, rng_seed: int = 0) -> ImageSet:
    """All images of an `ImageSet` under one corruption of the generated suite.

    Args:
        image_set: Of images with 1 or 3 channels; it stays as it is.
        name: As in `corrupt`.
        severity: As in `corrupt`.
        rng_seed: As in `corrupt`.

    Returns:
        A set with the same labels and classes, called "<name>, generated <corruption> <severity>"; its digest covers
        the corruption and the seed.

    Raises:
        InputError: as `corrupt`.
    """
    images = corrupt(image_set.images.permute(0, 2, 3, 1), name, severity, rng_seed).permute(0, 3, 1, 2)
    called = f"{image_set.name}, generated {name} {severity}"
    digest = sha256(image_set.digest.encode(), f"{name} {severity} {rng_seed}".encode())
    return ImageSet(
        images.contiguous(memory_format=torch.contiguous_format), image_set.labels, image_set.classes, called, digest
    )
