"""Data sets read offline and checked, batches of them, and their augmentation."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.data.augment import Augment, Standardise, brightness_contrast, crop, flip, shift
    from linnet.data.class_folders import image_folder
    from linnet.data.corruptions.application import corrupt
    from linnet.data.corruptions.image_sets import Corrupted, corrupt_set
    from linnet.data.corruptions.suites import corruption_names
    from linnet.data.files import data_root
    from linnet.data.forster_transform import Forster, forster
    from linnet.data.idx import fashion_mnist, mnist, read_idx
    from linnet.data.image_set import ImageSet, hold_out
    from linnet.data.inspection.boards import circuit_boards
    from linnet.data.inspection.tiles import magnetic_tiles
    from linnet.data.jpeg_container import cifar10_jpeg, read_jpeg_container
    from linnet.data.loaders import ArrayLoader
    from linnet.data.nuclei import NucleusImage, read_nucleus_set, split_digest
    from linnet.data.photometric import Photometric
    from linnet.data.scikit_digits import digits
    from linnet.data.synthetic import Optics, fluorescence_field

__all__ = [
    "ArrayLoader",
    "Augment",
    "Corrupted",
    "Forster",
    "ImageSet",
    "NucleusImage",
    "Optics",
    "Photometric",
    "Standardise",
    "brightness_contrast",
    "cifar10_jpeg",
    "circuit_boards",
    "corrupt",
    "corrupt_set",
    "corruption_names",
    "crop",
    "data_root",
    "digits",
    "fashion_mnist",
    "flip",
    "fluorescence_field",
    "forster",
    "hold_out",
    "image_folder",
    "magnetic_tiles",
    "mnist",
    "read_idx",
    "read_jpeg_container",
    "read_nucleus_set",
    "shift",
    "split_digest",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "augment": "Augment Standardise brightness_contrast crop flip shift",
        "scikit_digits": "digits",
        "files": "data_root",
        "forster_transform": "Forster forster",
        "idx": "fashion_mnist mnist read_idx",
        "class_folders": "image_folder",
        "corruptions.application": "corrupt",
        "corruptions.image_sets": "Corrupted corrupt_set",
        "corruptions.suites": "corruption_names",
        "image_set": "ImageSet hold_out",
        "inspection.boards": "circuit_boards",
        "inspection.tiles": "magnetic_tiles",
        "jpeg_container": "cifar10_jpeg read_jpeg_container",
        "loaders": "ArrayLoader",
        "nuclei": "NucleusImage read_nucleus_set split_digest",
        "photometric": "Photometric",
        "synthetic": "Optics fluorescence_field",
    },
)
