"""Checks of a study's images before anything is trained: points inside, no picture on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from linnet.data.nuclei import NucleusImage
from linnet.errors import InputError, PointsError
from linnet.nuclei.transfer.groups import Group

_SIDE = 16  # of a thumbnail; in 723 images of 296 pictures (DSB, TNBC, MoNuSeg) no two of different pictures correlate
# by more than 0.70, mirrored and turned ones by more than 0.79
_NAMED = 5


@dataclass(frozen=True)
class Looked:
    """One image as the checks see it: its group, and its thumbnail with mean 0 and length 1."""

    group: Group
    image: NucleusImage
    thumbnail: np.ndarray

    def told(self) -> str:
        """Group, side, image and picture in words."""
        side = {"train": "training", "val": "validation", "test": "test"}[self.image.split]
        return f"`{self.image.image_id}` ({self.group.name}, {side})"


@dataclass(frozen=True)
class Checked:
    """Images that can be studied.

    Attributes:
        pixels: Their number, of all images.
        digests: SHA-256 over the pixels of each group.
    """

    pixels: int
    digests: Mapping[str, str]


def check_images(groups: Mapping[str, Group], *, alike: float) -> int:
    """The number of pixels of all images, after the checks of `checked_images`."""
    return checked_images(groups, alike=alike).pixels


def checked_images(groups: Mapping[str, Group], *, alike: float) -> Checked:
    """Reads every image once and refuses a study whose test would not be blind.

    Args:
        groups: By name.
        alike: Correlation of thumbnails from which two pictures count as one.

    Raises:
        PointsError: points lie outside their image.
        InputError: two groups, or the two sides of one, share a picture or patient.
        ImageError: an image can't be read.
    """
    _refuse_shared_names(groups)
    looked, pixels, digests = [], 0, {}
    for group in groups.values():
        digest = hashlib.sha256()
        for image in group.images:
            array = image.pixels()
            digest.update(f"{image.image_id},{array.shape},{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
            _require_inside(group, image, array.shape[:2])
            _require_contrast(group, image, array)
            looked.append(Looked(group, image, thumbnail(array)))
            pixels += array.shape[0] * array.shape[1]
        digests[group.name] = digest.hexdigest()
    _refuse_alike(looked, alike)
    return Checked(pixels, digests)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """(256,) brightness of 16 x 16 areas with mean 0 and length 1; zeros for an even picture."""
    gray = pixels.astype(np.float32).mean(axis=2) if pixels.ndim == 3 else pixels.astype(np.float32)
    small = np.asarray(Image.fromarray(gray).resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64).ravel()
    small = small - small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > 1e-9 * max(1.0, float(np.abs(gray).max())) else np.zeros_like(small)


def _require_inside(group: Group, image: NucleusImage, shape: tuple[int, ...]) -> None:
    outside = ~np.all((image.points >= -0.5) & (image.points < np.array(shape) - 0.5), axis=1)
    if outside.any():
        y, x = image.points[outside][0]
        raise PointsError(
            f"Group `{group.name}`, image `{image.image_id}`: {int(outside.sum())} of its points lie outside its "
            f"{shape[0]} x {shape[1]} pixels (height x width), the first at y = {y:g}, x = {x:g}. Are y and x "
            "exchanged, or is it another image's file?"
        )


def _require_contrast(group: Group, image: NucleusImage, pixels: np.ndarray) -> None:
    if len(image.points) and pixels.min() == pixels.max():
        raise PointsError(
            f"Group `{group.name}`, image `{image.image_id}`: all of its pixels are {pixels.min()}, but it has "
            f"{len(image.points)} points. Export the image again, or remove its file of points."
        )


def _refuse_shared_names(groups: Mapping[str, Group]) -> None:
    """A named picture or patient belongs to one group and one side."""
    home: dict[str, tuple[str, str]] = {}
    for group in groups.values():
        if group.names_from is None:
            continue
        for image in group.images:
            place = (group.name, image.split)
            other = home.setdefault(f"{group.names_from}|{image.mosaic_id}", place)
            if other != place:
                raise InputError(
                    f"Picture or patient `{image.mosaic_id}` must be on one side of one group (it is in `{other[0]}`, "
                    f"{other[1]}, and in `{place[0]}`, {place[1]}). A test on what was trained on says nothing."
                )


def _refuse_alike(looked: Sequence[Looked], alike: float) -> None:
    """Two images of different groups or sides don't show one picture, mirrored and turned ones included."""
    table = np.stack([each.thumbnail for each in looked])
    correlation = np.max([table @ turned.T for turned in _turned(table)], axis=0)
    first, second = np.nonzero(np.triu(correlation >= alike, k=1))
    found = []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        one, other = looked[a], looked[b]
        apart = one.group.name != other.group.name or one.image.split != other.image.split
        if apart:
            found.append(f"{one.told()} and {other.told()}, {float(correlation[a, b]):.3f}")
    if found:
        more = f"; {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise InputError(
            f"{len(found)} pair(s) of images in different groups or on different sides show the same picture, by the "
            f"correlation of their thumbnails (`alike` = {alike:g}): {'; '.join(found[:_NAMED])}{more}. Remove one of "
            "each pair, or name their picture in `pictures`, so that it stays on one side."
        )


def _turned(table: np.ndarray) -> list[np.ndarray]:
    """The thumbnails as they are, turned by 90, 180 and 270 degrees, and the mirror images of these."""
    square = table.reshape(-1, _SIDE, _SIDE)
    turns = [np.rot90(each, k, axes=(1, 2)) for each in (square, square[:, :, ::-1]) for k in range(4)]
    return [turn.reshape(len(table), -1) for turn in turns]
