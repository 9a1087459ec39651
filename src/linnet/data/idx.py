"""idx files (MNIST's format, gzipped or not), and the two sets that come in it."""

import math
import struct
from pathlib import Path

import numpy as np
import torch

from linnet.data.files import check_content, data_root, read_file, sha256
from linnet.data.image_set import ImageSet
from linnet.errors import DataError, InputError

_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}

_DIGITS = tuple("0123456789")
# Order of the label values, from the set's own README (Xiao, Rasul & Vollgraf 2017).
_CLOTHING = (
    "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

# 8,000 of the official 10,000 test images, or the official files; whichever is there.
_STEMS = {"train": ("train",), "test": ("test8k", "t10k")}

# SHA-256 of the decompressed content, so that another gzip wrapper round the same images passes.
_KNOWN = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "test8k-images-idx3-ubyte": "cf75d7f7b8fffad292f056761c5a468695282103298b1b0a790815d4c00c23c9",
        "test8k-labels-idx1-ubyte": "c574c07944f78eaefbbb87c92f16e81195cad01093bd642d15fdc48e107c702c",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "test8k-images-idx3-ubyte": "9acee930d97e571cd977a25da861f0e8a1decc1a82380275de81edbb74616658",
        "test8k-labels-idx1-ubyte": "e5ae6a22456abd2a52b7ba55e87f0fd1c08146d6471ac44ad94e7915020375b7",
    },
}


def mnist(split: str, *, root: Path | None = None) -> ImageSet:
    """Handwritten digits, 28x28, one channel.

    Args:
        split: "train" or "test" (the 8,000 images of `test8k-*` if those files are there, else the official `t10k-*`).
        root: Folder with the idx files; None: `mnist` in `data_root()`.

    Raises:
        DataError: a file is missing, damaged, not the known one, or images and labels don't belong together.

    Source:
        LeCun, Cortes & Burges 1998.
    """
    return _read_set("mnist", _DIGITS, split, root)


def fashion_mnist(split: str, *, root: Path | None = None) -> ImageSet:
    """Pieces of clothing, 28x28, one channel.

    Args:
        split: "train" or "test" (the 8,000 images of `test8k-*` if those files are there, else the official `t10k-*`).
        root: Folder with the idx files; None: `fashion_mnist` in `data_root()`.

    Raises:
        DataError: a file is missing, damaged, not the known one, or images and labels don't belong together.

    Source:
        Xiao, Rasul & Vollgraf 2017.
    """
    return _read_set("fashion_mnist", _CLOTHING, split, root)


def read_idx(path: Path) -> np.ndarray:
    """The array of one idx file of unsigned bytes, gzipped or not.

    The header is two zero bytes, a type code, the number of dimensions, then each dimension as a big-endian uint32.

    Args:
        path: For example `train-images-idx3-ubyte.gz`.

    Returns:
        uint8, with the dimensions of the header.

    Raises:
        DataError: it is missing, damaged, no idx file, of another type, or longer or shorter than its header says.
    """
    return _parse(path, read_file(path))


def _parse(path: Path, content: bytes) -> np.ndarray:
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise DataError(
            f"{path} must be an idx file, which begins with 00 00 08 and the number of dimensions (got "
            f"{content[:4].hex(' ') or 'nothing'})."
        )
    if content[2] != 0x08:
        raise DataError(f"{path} must hold unsigned bytes (got {_TYPES[content[2]]} values).")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start or not 1 <= dimensions <= 4:
        raise DataError(f"{path} must have a whole header with 1 to 4 dimensions (got {dimensions}).")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    declared, found = math.prod(shape), len(content) - start
    if declared != found:
        raise DataError(
            f"{path} declares {' x '.join(map(str, shape))} = {declared} bytes but holds {found}. It is truncated "
            "or damaged; download it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _read_set(name: str, classes: tuple[str, ...], split: str, root: Path | None) -> ImageSet:
    if split not in _STEMS:
        raise InputError(f'`split` must be "train" or "test" (got {split!r}).')
    folder = data_root() / name if root is None else Path(root)
    stem = _stem(folder, split)
    contents, arrays = [], []
    for part, dimensions in (("images", 3), ("labels", 1)):
        stored = f"{stem}-{part}-idx{dimensions}-ubyte"
        path = _existing(folder, stored)
        content = read_file(path)
        array = _parse(path, content)
        if array.ndim != dimensions:
            raise DataError(f"{path} must have {dimensions} dimensions, as {part} have (got {array.ndim}).")
        if stored in _KNOWN[name]:
            check_content(path, content, _KNOWN[name][stored])
        contents.append(content)
        arrays.append(array)
    images, labels = arrays
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: {stem} must have one label for each image (got {len(images)} images and {len(labels)} labels)."
        )
    return ImageSet(
        images=torch.from_numpy(images.copy())[:, None],
        labels=torch.from_numpy(labels.astype(np.int64)),
        classes=classes,
        name=name,
        digest=sha256(*contents),
    )


def _stem(folder: Path, split: str) -> str:
    for stem in _STEMS[split]:
        if _existing(folder, f"{stem}-images-idx3-ubyte").exists():
            return stem
    return _STEMS[split][0]


def _existing(folder: Path, stored: str) -> Path:
    packed = folder / f"{stored}.gz"
    plain = folder / stored
    return plain if plain.exists() and not packed.exists() else packed
