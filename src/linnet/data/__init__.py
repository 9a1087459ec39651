"""Data sets read offline and checked, batches of them, and their augmentation."""

from linnet.data.augment import Augment, Standardise, brightness_contrast, crop, flip, shift
from linnet.data.digits import digits
from linnet.data.files import data_root
from linnet.data.forster import Forster, forster
from linnet.data.idx import fashion_mnist, mnist, read_idx
from linnet.data.image_folder import image_folder
from linnet.data.image_set import ImageSet, hold_out
from linnet.data.jpeg_container import cifar10_jpeg, read_jpeg_container
from linnet.data.loaders import ArrayLoader
from linnet.data.nuclei import NucleusImage, read_nucleus_set, split_digest
from linnet.data.photometric import Photometric
from linnet.data.synthetic import Optics, fluorescence_field

__all__ = [
    "ArrayLoader",
    "Augment",
    "Forster",
    "ImageSet",
    "NucleusImage",
    "Optics",
    "Photometric",
    "Standardise",
    "brightness_contrast",
    "cifar10_jpeg",
    "crop",
    "data_root",
    "digits",
    "fashion_mnist",
    "flip",
    "fluorescence_field",
    "forster",
    "hold_out",
    "image_folder",
    "mnist",
    "read_idx",
    "read_jpeg_container",
    "read_nucleus_set",
    "shift",
    "split_digest",
]
