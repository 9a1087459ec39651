"""[data] of an image classifier: which images, how they are divided, how they are augmented."""

from collections.abc import Iterator
from dataclasses import dataclass

from linnet.data.augmentation.augment import Augment, Fill
from linnet.recipe.toml.setting import setting

WITH_TEST_PART = ("fashion_mnist", "mnist", "cifar10_jpeg")
"""Sets that come divided in a training and a test part."""

_NAMES = (*WITH_TEST_PART, "digits", "image_folder")


@dataclass(frozen=True)
class ImageSection:
    """Images of one class each.

    Attributes:
        name: The set.
        path: Its folder, relative to the recipe's; None: where `linnet.data.data_root` finds it.
        instead: The set that is taken when no `path` is given and `linnet.data.data_root` has none of this one; the
            log, `run.json` and the records name it.
        test_path: A second image folder, with the test images.
        size: Height and width that the pictures of an image folder are resized to.
        validation_fraction: Share of the training images that measures progress and isn't trained on.
        test_fraction: Share of all images kept for the test, of a set that has no test part; None: 0.2.
        split_seed: Seeds both divisions; apart from [train] rng_seed, so that other seeds train on the same images.
        flip: Mirror half of the training images left to right.
        shift_px: Move training images by up to so many pixels.
        fill: What a movement uncovers is filled with.
        brightness: Largest change of brightness, white being 1.
        contrast: Largest relative change of contrast.
    """

    name: str = setting("the image set", choices=_NAMES)
    path: str | None = setting("folder of the set, relative to the recipe's", default=None, is_path=True)
    instead: str | None = setting(
        "set that is taken when no path is given and this one isn't there", default=None, choices=("digits",)
    )
    test_path: str | None = setting("image folder with the test images", default=None, is_path=True)
    size: tuple[int, int] | None = setting("height and width to resize to", default=None, at_least=1, at_most=4096)
    validation_fraction: float = setting("share of the training images to validate on", default=0.1, above=0, below=1)
    test_fraction: float | None = setting("share of all images to test on", default=None, above=0, below=1)
    split_seed: int = setting("seeds the division of the images", default=0, at_least=0)
    flip: bool = setting("mirror every second training image", default=False)
    shift_px: int = setting("largest movement of training images, in pixels", default=0, at_least=0)
    fill: Fill = setting("what a movement uncovers is filled with", default="zero")
    brightness: float = setting("largest change of brightness", default=0.0, at_least=0, at_most=1)
    contrast: float = setting("largest relative change of contrast", default=0.0, at_least=0, at_most=1)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Settings that the chosen set doesn't have, or needs."""
        is_folder = self.name == "image_folder"
        if is_folder and self.path is None:
            yield "path", "`path` must be given for an image folder: the folder with one sub-folder for each class"
        if self.path is not None and self.name == "digits":
            yield "path", "`path` has no effect on digits, which come with scikit-learn; remove it"
        if self.instead is not None and self.name not in WITH_TEST_PART:
            yield (
                "instead",
                f'`instead` applies only to sets of files with a test part (got the set "{self.name}"); remove it',
            )
        for key in ("test_path", "size"):
            if getattr(self, key) is not None and not is_folder:
                yield key, f'`{key}` applies only to image folders (got the set "{self.name}"); remove it'
        if self.test_fraction is not None and (self.name in WITH_TEST_PART or self.test_path is not None):
            yield "test_fraction", "`test_fraction` has no effect on a set that comes with its test part; remove it"

    def augment(self) -> Augment:
        """The change of training images."""
        return Augment(self.flip, self.shift_px, self.fill, self.brightness, self.contrast)
