"""Data sets read offline and checked, batches of them, and their augmentation."""

from .augment import Augment, Standardise, brightness_contrast, crop, flip, shift
from .digits import digits
from .files import data_root
from .idx import fashion_mnist, mnist, read_idx
from .image_folder import image_folder
from .image_set import ImageSet, hold_out
from .jpeg_container import cifar10_jpeg, read_jpeg_container
from .loaders import ArrayLoader

__all__ = [
    "ArrayLoader",
    "Augment",
    "ImageSet",
    "Standardise",
    "brightness_contrast",
    "cifar10_jpeg",
    "crop",
    "data_root",
    "digits",
    "fashion_mnist",
    "flip",
    "hold_out",
    "image_folder",
    "mnist",
    "read_idx",
    "read_jpeg_container",
    "shift",
]
