"""Images that several studies learn: read from a folder of sets, or scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from linnet.data import ImageSet, cifar10_jpeg, digits, fashion_mnist, hold_out, mnist
from linnet.engine import derive_seed

READERS: Mapping[str, Callable[..., ImageSet]] = MappingProxyType(
    {"fashion_mnist": fashion_mnist, "cifar10_jpeg": cifar10_jpeg, "mnist": mnist}
)


def read_sets(name: str, data: Path | None) -> tuple[ImageSet, ImageSet]:
    """Training and test images of a set.

    Args:
        name: Of `READERS`, or "digits", of which a quarter is held out for the test.
        data: Folder with a sub-folder for each set; None: where `linnet.data` finds them.

    Raises:
        DataError: the set isn't there.
    """
    if name == "digits":
        return hold_out(digits(), 0.25, rng_seed=derive_seed(0, "test"))
    root = None if data is None else data / name
    return READERS[name]("train", root=root), READERS[name]("test", root=root)


def subset(images: ImageSet, count: int) -> ImageSet:
    """So many of the images, the same at every call; all for 0 or more than there are."""
    if not 0 < count < len(images):
        return images
    return hold_out(images, count / len(images), rng_seed=derive_seed(0, "subset"))[1]
