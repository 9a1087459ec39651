"""Label images: 0 is background, each other value one nucleus, whose centroid is its point."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from linnet.errors import ImageError, PointsError
from linnet.nuclei.read.formats import SUFFIXES, read_start
from linnet.nuclei.read.images import read_image

ARRAYS = (".npy",)
_CLASSES = 8  # values up to which a picture of many pieces is one of classes (nucleus, border, ...) and not of nuclei
_FAR = 3.0  # pieces of one value are far apart when their centroids are this many diameters apart; ours
_PIECE = 0.25  # a smaller share of the value's largest piece is a speck of it
_SHARE = 0.05  # share of values in several far pieces from which the labels are refused; ours


def is_label_image(path: Path) -> bool:
    """Whether a file of this name is taken for a label image."""
    return path.suffix.lower() in (*SUFFIXES, *ARRAYS)


def label_points(path: Path, shape: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Centroids of a label image on disk: PNG (an index of colours too), TIFF, or an array of NumPy.

    Args:
        path: The file.
        shape: (h, w) of the image it belongs to, to be checked.

    Raises:
        PointsError: it isn't one picture of labels, has another size, or its numbers stand for several nuclei each.
        ImageError: it can't be read.
    """
    labels = _array(path) if path.suffix.lower() in ARRAYS else _picture(path)
    if path.suffix.lower() in ARRAYS and labels.ndim == 2 and labels.shape[1] == 2 and labels.dtype.kind == "f":
        return _listed(labels, path)
    if labels.ndim != 2:
        raise PointsError(_not_one_picture(labels, path))
    if shape is not None and labels.shape != tuple(shape):
        raise PointsError(
            f"{path}: the label image has {labels.shape[0]} rows and {labels.shape[1]} columns, the image {shape[0]} "
            f"and {shape[1]}. Each pixel needs its label."
        )
    if labels.dtype.kind == "f" and not _whole(labels.astype(np.float64)):
        raise PointsError(f"{path}: labels are whole numbers from 0; this holds negative or broken numbers.")
    if labels.dtype.kind == "i" and labels.size and int(labels.min()) < 0:
        raise PointsError(f"{path}: labels are whole numbers from 0; the smallest here is {int(labels.min())}.")
    _check_pieces(labels, path)
    return centroids(labels)


def centroids(labels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Centroids of a label image: (n, 2) y, x in the order of the labels; 0 is background.

    Args:
        labels: (h, w), whole numbers from 0.
    """
    values, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape)
    y, x = np.nonzero(index if values[0] == 0 else index + 1)
    of = index[y, x]
    areas = np.bincount(of, minlength=len(values))
    sums = np.stack([np.bincount(of, weights=at, minlength=len(values)) for at in (y, x)], axis=1)
    present = areas > 0
    return sums[present] / areas[present, None]


def _picture(path: Path) -> NDArray[np.generic]:
    """The pixels; of a picture with a palette the indices, which are the labels, and not their colours."""
    start = read_start(path)
    if start.startswith(b"\x89PNG"):
        from PIL import Image, UnidentifiedImageError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a large picture: the reader of pictures has its own limit
                with Image.open(path) as picture:
                    if picture.mode == "P":
                        return np.asarray(picture)
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
            pass  # the reader of pictures says what is wrong with it
    elif start[:2] in (b"II", b"MM"):
        indices = _palette_tiff(path)
        if indices is not None:
            return indices
    return np.asarray(read_image(path).pixels)


def _palette_tiff(path: Path) -> NDArray[np.generic] | None:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            if len(file.pages) == 1 and file.pages.first.photometric == tifffile.PHOTOMETRIC.PALETTE:
                return np.asarray(file.pages.first.asarray())
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError):
        return None  # the reader of pictures says what is wrong with it
    return None


def _array(path: Path) -> NDArray[np.generic]:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file. Check the spelling and the folder.") from None
    except ValueError as error:
        if "pickle" not in str(error):
            raise PointsError(f"{path}: can't be read as an array ({error}). Save it again.") from error
        raise PointsError(
            f"{path}: this array holds Python objects, which could run code when they are read (Cellpose's _seg.npy "
            "is such a file). Save the masks alone: numpy.save(path, masks), or as a 16-bit PNG or TIFF."
        ) from None
    except (OSError, EOFError) as error:
        raise PointsError(f"{path}: can't be read as an array ({error}). Save it again.") from error


def _listed(points: NDArray[np.generic], path: Path) -> NDArray[np.float64]:
    """An (n, 2) array of real numbers is a list of points y, x and not a picture of two columns."""
    values = np.asarray(points, dtype=np.float64)
    if not np.isfinite(values).all():
        raise PointsError(f"{path}: some of its points are NaN or infinite. Drop them.")
    return values


def _not_one_picture(labels: NDArray[np.generic], path: Path) -> str:
    if labels.ndim == 3 and labels.shape[2] in (3, 4) and path.suffix.lower() not in ARRAYS:
        return (
            f"{path}: this is a colour picture; a label image has one channel with a number for each nucleus. Export "
            "the labels themselves (16-bit PNG or TIFF), not a coloured view of them."
        )
    shape = " x ".join(map(str, labels.shape))
    return (
        f"{path}: this is a stack or a list of {shape} numbers, a label image has rows and columns alone. Save the one "
        "plane that belongs to the image."
    )


def _check_pieces(labels: NDArray[np.generic], path: Path) -> None:
    """Refuses labels whose numbers stand for several nuclei: masks, classes, and numbers that wrapped round."""
    values, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape).astype(np.int64) + (values[0] != 0)
    nuclei = len(values) - (values[0] == 0)
    if nuclei == 0:
        return
    pieces, owner, area, centre = _pieces(index)
    if nuclei == 1:
        if pieces > 1:
            raise PointsError(
                f"{path}: this is a mask, not a label image: one value in {pieces} separate pieces. Touching nuclei "
                "can't be told apart in it; number the pieces first, e.g. skimage.measure.label(mask)."
            )
        return
    split = _in_far_pieces(owner, area, centre)
    if split < max(2, _SHARE * nuclei):
        return
    if nuclei <= _CLASSES:
        raise PointsError(
            f"{path}: its {nuclei} values stand for {pieces} separate pieces, as classes do (nucleus, border, ...), "
            "and not for one nucleus each. Number the nuclei first, e.g. skimage.measure.label(mask)."
        )
    most = int(values[-1])
    wrapped = (
        f"the numbers go up to {most:,} and begin again, as when more nuclei than that are saved with too few bits"
        if most in (255, 65_535)
        else "as when labels of several tiles are put together without being numbered anew"
    )
    raise PointsError(
        f"{path}: {split} of its {nuclei} labels stand for several pieces that lie far apart: {wrapped}. Save the "
        "labels with 32 bits, or number the pieces, e.g. skimage.measure.label(labels)."
    )


def _pieces(index: NDArray[np.int64]) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Number of 8-connected pieces of equal value, and for each its value, area and centroid."""
    from skimage.measure import label

    pieces: Any = label(index, background=0, return_num=True, connectivity=2)
    numbered, count = pieces
    first = np.zeros(count + 1, dtype=np.int64)
    flat = numbered.ravel()
    first[flat] = index.ravel()
    area = np.bincount(flat, minlength=count + 1)
    centre = np.array(ndimage.center_of_mass(numbered > 0, numbered, np.arange(1, count + 1))).reshape(-1, 2)
    return int(count), first[1:], area[1:], centre


def _in_far_pieces(owner: NDArray[np.int64], area: NDArray[np.int64], centre: NDArray[np.float64]) -> int:
    """Values with at least two large pieces whose centroids are far apart for their size."""
    order = np.argsort(owner, kind="stable")
    owner, area, centre = owner[order], area[order], centre[order]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    several = 0
    for begin, end in zip(starts, [*starts[1:], len(owner)], strict=True):
        if end - begin < 2:
            continue
        sizes, places = area[begin:end], centre[begin:end]
        large = sizes >= _PIECE * sizes.max()
        diameter = 2 * np.sqrt(sizes.max() / np.pi)
        apart = np.ptp(places[large], axis=0).max(initial=0.0)
        several += bool(large.sum() > 1 and apart > _FAR * diameter)
    return several


def _whole(values: NDArray[np.float64]) -> bool:
    return bool(((values >= 0) & (values == np.floor(values))).all())
