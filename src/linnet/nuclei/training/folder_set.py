"""A folder of images and points as a nucleus set, split into training, validation and test."""

from pathlib import Path

import numpy as np

from linnet.data.nuclei import NucleusImage
from linnet.errors import InputError
from linnet.nuclei.points.annotations import paired_files
from linnet.nuclei.read.images import read_image

_LEAST = 5


def read_folder_set(images: str | Path, points: str | Path) -> list[NucleusImage]:
    """Images and their points, each image a separate picture; of five in the order of names one is for validation
    and one for the test.

    Args:
        images: Folder of images; those without points are left out.
        points: Folder with a file of points per image, or one table with a column `image`.

    Raises:
        InputError: there are fewer than 5 images with points.
        ImageError, PointsError: as in `linnet.nuclei.points.annotations.read_annotated`.
    """
    files, truths = paired_files(images, points)
    if len(truths) < _LEAST:
        raise InputError(
            f"{images}: a recipe needs at least {_LEAST} images with points, to hold some out (it has {len(truths)}). "
            "With fewer use `linnet nuclei train`."
        )
    split = {3: "test", 4: "val"}
    return [
        NucleusImage(name, files[name], truths[name], "images", name, split.get(k % 5, "train"), read=_pixels)
        for k, name in enumerate(sorted(truths))
    ]


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(read_image(path).pixels)
