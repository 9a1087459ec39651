"""A folder of pictures, one sub-folder for each class."""

import io
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from linnet.data.files import read_file, sha256
from linnet.data.image_set import ImageSet
from linnet.errors import DataError, InputError

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_GRAY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_SHOWN = 8

_log = logging.getLogger(__name__)


def image_folder(path: Path | str, *, size: tuple[int, int] | None = None) -> ImageSet:
    """Reads `path`/<class>/<picture>, 8 bits a channel, into one set.

    Classes are the sub-folders sorted by name, pictures are sorted by name in each; hidden entries, deeper folders and
    files without a picture's suffix are left out (and logged). If all pictures are gray there is one channel, else
    three; transparency is dropped.

    Args:
        path: Folder with at least one sub-folder that holds a picture.
        size: (height, width) that every picture is resized to (bilinear, area-averaging when it shrinks); None: they
            must all have one size.

    Returns:
        The set, named after the folder.

    Raises:
        DataError: no such folder, no classes, or pictures that can't be used. All of them are named, up to eight.
        InputError: `size` isn't two positive numbers.
    """
    folder = Path(path)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise InputError(f"`size` must be (height, width) in pixels, both >= 1 (got {size}).")
    listed = _pictures(folder)
    pictures, digests, faults = [], [], []
    for file, _ in listed:
        try:
            content = read_file(file)
            pictures.append(_decode(file, content, size))
            digests.append(f"{file.relative_to(folder).as_posix()}\0{sha256(content)}\n".encode())
        except DataError as fault:
            faults.append(str(fault))
    if faults:
        raise DataError(_summary(folder, faults, len(listed)))
    if size is None:
        _check_one_size(folder, [file for file, _ in listed], pictures)
    classes = tuple(dict.fromkeys(name for _, name in listed))
    return ImageSet(
        images=_stack(pictures),
        labels=torch.tensor([classes.index(name) for _, name in listed], dtype=torch.int64),
        classes=classes,
        name=folder.resolve().name,
        digest=sha256(*digests),
    )


def _pictures(folder: Path) -> list[tuple[Path, str]]:
    if not folder.is_dir():
        found = "a file" if folder.exists() else "not there"
        raise DataError(f"{folder} must be a folder with one sub-folder for each class (got {found}).")
    listed = []
    for inside in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        entries = sorted(entry for entry in inside.iterdir() if entry.is_file() and not entry.name.startswith("."))
        usable = [entry for entry in entries if entry.suffix.lower() in _SUFFIXES]
        if len(usable) < len(entries):
            _log.info("%s: %d files without a picture's suffix are left out", inside, len(entries) - len(usable))
        if not usable:
            raise DataError(
                f"{inside} holds no picture ({', '.join(sorted(_SUFFIXES))}). Remove the folder, or add pictures."
            )
        listed += [(entry, inside.name) for entry in usable]
    if not listed:
        raise DataError(f"{folder} has no sub-folders. Put the pictures into one sub-folder for each class.")
    return listed


def _decode(file: Path, content: bytes, size: tuple[int, int] | None) -> np.ndarray:
    """uint8 (H, W) of a gray picture or (H, W, 3)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as picture:
                if picture.mode not in _GRAY | _COLOUR:
                    raise DataError(f"{file} must have 8 bits a channel, gray or colour (got mode {picture.mode}).")
                plain = picture.convert("L" if picture.mode in _GRAY else "RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as fault:
        raise DataError(f"{file} declares too many pixels to be read whole ({fault}).") from fault
    except UnidentifiedImageError as fault:
        raise DataError(f"{file} isn't a picture that can be read (it begins with {content[:8]!r}).") from fault
    except (OSError, SyntaxError, ValueError, EOFError) as fault:
        if isinstance(fault, DataError):
            raise
        raise DataError(f"{file} is truncated or damaged ({fault}).") from fault
    if size is not None and plain.size != (size[1], size[0]):
        plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(plain)


def _check_one_size(folder: Path, files: list[Path], pictures: list[np.ndarray]) -> None:
    height, width = pictures[0].shape[:2]
    faults = [
        f"{file} is {picture.shape[0]} x {picture.shape[1]}"
        for file, picture in zip(files, pictures, strict=True)
        if picture.shape[:2] != (height, width)
    ]
    if faults:
        reason = f"{files[0]} is {height} x {width} (height x width); give `size` to resize all to one size."
        raise DataError(_summary(folder, [*faults[: _SHOWN - 1], reason], len(files), count=len(faults)))


def _summary(folder: Path, faults: list[str], total: int, *, count: int | None = None) -> str:
    count = len(faults) if count is None else count
    shown = "\n".join(f"  {fault}" for fault in faults[:_SHOWN])
    more = f"\n  and {count - _SHOWN} more" if count > _SHOWN else ""
    return f"{folder}: {count} of {total} pictures can't be used:\n{shown}{more}"


def _stack(pictures: list[np.ndarray]) -> torch.Tensor:
    if all(picture.ndim == 2 for picture in pictures):
        return torch.from_numpy(np.stack(pictures))[:, None]
    colour = [picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2) for picture in pictures]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()
