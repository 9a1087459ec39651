"""Many small JPEG files in one npz file, and CIFAR-10 in it."""

import io
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from linnet.data.files import check_content, data_root, read_file, sha256
from linnet.data.image_set import ImageSet
from linnet.errors import DataError, InputError

_KEYS = {"jpeg": "uint8", "offset": "int64", "label": "uint8"}

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_KNOWN = {
    "train": "ed8edd443c65454549a73667f093fcbb6c8327eedd3ea5549be188562e5b6a15",
    "test": "3427846cf3b204920f066a32200b0ca130c31c452cb8c545a147a990cb5a6830",
}


def cifar10_jpeg(split: str, *, root: Path | None = None) -> ImageSet:
    """CIFAR-10 as lossy JPEG files: 32x32, three channels.

    Accuracies on it can't be compared with published ones, which were measured on the lossless images.

    Args:
        split: "train" (50,000 images) or "test" (8,000).
        root: Folder with train.npz and test.npz; None: `cifar10_jpeg` in `data_root()`.

    Raises:
        DataError: the file is missing, damaged or not the known one.

    Source:
        Krizhevsky 2009.
    """
    if split not in _KNOWN:
        raise InputError(f'`split` must be "train" or "test" (got {split!r}).')
    path = (data_root() / "cifar10_jpeg" if root is None else Path(root)) / f"{split}.npz"
    content = read_file(path)
    check_content(path, content, _KNOWN[split])
    return _parse(path, content, _CIFAR10, "cifar10_jpeg")


def read_jpeg_container(path: Path, *, classes: tuple[str, ...], name: str | None = None) -> ImageSet:
    """All images of one container, decoded once and kept as one tensor.

    Image i is the JPEG stream jpeg[offset[i] : offset[i + 1]].

    Args:
        path: npz file with `jpeg` (uint8, all streams joined), `offset` (int64, N + 1) and `label` (uint8, N).
            Arrays of Python objects are refused.
        classes: Name of each label.
        name: What the set is called; None: the file's stem.

    Returns:
        RGB images, all of the first one's size.

    Raises:
        DataError: it is missing or isn't such a container, or an image in it can't be decoded or has another size.
    """
    return _parse(path, read_file(path), classes, path.stem if name is None else name)


def _parse(path: Path, content: bytes, classes: tuple[str, ...], name: str) -> ImageSet:
    arrays = _arrays(path, content)
    jpeg, offset, label = arrays["jpeg"].tobytes(), arrays["offset"], arrays["label"]
    if len(offset) != len(label) + 1 or len(label) == 0:
        raise DataError(
            f"{path} must have N + 1 offsets for N labels, N >= 1 (got {len(offset)} offsets and {len(label)} labels)."
        )
    if int(label.max()) >= len(classes):
        most = len(classes) - 1
        raise DataError(
            f"{path} must have labels from 0 to {most}, as there are {most + 1} classes (got {label.max()})."
        )
    if offset[0] != 0 or offset[-1] != len(jpeg) or (np.diff(offset) <= 0).any():
        raise DataError(f"{path} must have offsets that rise from 0 to the {len(jpeg)} bytes of its JPEG streams.")
    size: tuple[int, int] | None = None
    images: np.ndarray | None = None
    for index, (start, stop) in enumerate(pairwise(offset.tolist())):
        picture = _decode(path, index, jpeg[start:stop], size)
        if images is None:
            size = (picture.shape[1], picture.shape[0])
            images = np.empty((len(label), *picture.shape), dtype=np.uint8)
        images[index] = picture
    assert images is not None
    return ImageSet(
        images=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(label.astype(np.int64)),
        classes=classes,
        name=name,
        digest=sha256(content),
    )


def _arrays(path: Path, content: bytes) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            missing = sorted(set(_KEYS) - set(stored.files))
            if missing:
                raise DataError(
                    f"{path} must have {', '.join(missing)} (it has {', '.join(stored.files) or 'nothing'})."
                )
            arrays = {key: stored[key] for key in _KEYS}
    except DataError:
        raise
    except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as fault:
        raise DataError(f"{path} isn't a readable npz file ({fault}).") from fault
    for key, dtype in _KEYS.items():
        if arrays[key].dtype != dtype or arrays[key].ndim != 1:
            raise DataError(
                f"{path}: `{key}` must be {dtype} with 1 dimension (got {arrays[key].dtype} with {arrays[key].ndim})."
            )
    return arrays


def _decode(path: Path, index: int, stream: bytes, size: tuple[int, int] | None) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(stream), formats=["JPEG"]) as picture:
            if max(picture.size) > 4096 or (size is not None and picture.size != size):
                wanted = "at most 4096 x 4096" if size is None else f"{size[0]} x {size[1]}"
                raise DataError(
                    f"{path}: image {index} must have {wanted} pixels (got {picture.size[0]} x {picture.size[1]})."
                )
            return np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as fault:
        raise DataError(f"{path}: image {index} isn't a readable JPEG stream ({fault}).") from fault
