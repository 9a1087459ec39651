"""Data sets read offline and checked, batches of them, and their augmentation."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.data.augmentation.augment import (
        Augment as Augment,
        Standardise as Standardise,
        brightness_contrast as brightness_contrast,
        crop as crop,
        flip as flip,
        shift as shift,
    )
    from linnet.data.class_folders import image_folder as image_folder
    from linnet.data.corruptions.application import corrupt as corrupt
    from linnet.data.corruptions.image_sets import Corrupted as Corrupted, corrupt_set as corrupt_set
    from linnet.data.corruptions.suites import corruption_names as corruption_names
    from linnet.data.files import data_root as data_root
    from linnet.data.forster_transform import Forster as Forster, forster as forster
    from linnet.data.idx import fashion_mnist as fashion_mnist, mnist as mnist, read_idx as read_idx
    from linnet.data.image_set import ImageSet as ImageSet, hold_out as hold_out
    from linnet.data.inspection.boards import circuit_boards as circuit_boards
    from linnet.data.inspection.tiles import magnetic_tiles as magnetic_tiles
    from linnet.data.jpeg_container import cifar10_jpeg as cifar10_jpeg, read_jpeg_container as read_jpeg_container
    from linnet.data.loaders import ArrayLoader as ArrayLoader
    from linnet.data.nuclei import (
        NucleusImage as NucleusImage,
        read_nucleus_set as read_nucleus_set,
        split_digest as split_digest,
    )
    from linnet.data.augmentation.photometric import Photometric as Photometric
    from linnet.data.scikit_digits import digits as digits
    from linnet.data.synthetic import Optics as Optics, fluorescence_field as fluorescence_field

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
