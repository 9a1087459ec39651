"""The folder of the data sets, and the check that a file is the known one."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path

from linnet.errors import DataError

_ENVIRONMENT = "LINNET_DATA"
_BESIDE = Path("shared") / "data"
# A decompressed file of a data set; the largest that is read here has 47 MB.
_LARGEST_BYTES = 2**31


def data_root() -> Path:
    """The folder that holds the data sets, one sub-folder each.

    The environment variable LINNET_DATA decides when it is set. Otherwise the folder `shared/data` is taken that lies
    beside the current folder or beside the checkout, or beside one of the two folders above them.

    Returns:
        An existing folder.

    Raises:
        DataError: LINNET_DATA names no folder, or it isn't set and there is no such folder.
    """
    named = os.environ.get(_ENVIRONMENT)
    if named:
        root = Path(named).expanduser()
        if not root.is_dir():
            raise DataError(
                f"{_ENVIRONMENT} must be the folder of the data sets (got {named!r}, which isn't a folder)."
            )
        return root
    checkout = Path(__file__).resolve().parents[3]
    for start in (Path.cwd(), checkout):
        for place in [start, *start.parents][1:4]:
            if (place / _BESIDE).is_dir():
                return place / _BESIDE
    raise DataError(
        f"There is no folder {_BESIDE.as_posix()} beside the current folder or the checkout. Set {_ENVIRONMENT} to "
        "the folder that holds the data sets (fashion_mnist, mnist, ...)."
    )


def read_file(path: Path) -> bytes:
    """The content of a file, decompressed when it is gzip (told by its first two bytes, not by its name).

    Args:
        path: A file of at most 2 GiB, decompressed.

    Raises:
        DataError: it is missing, unreadable, too large, or a truncated or damaged gzip file.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_gzip else path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. {_beside(path)}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise DataError(f"{path} is a truncated or damaged gzip file ({fault}). Download it again.") from fault
    except OSError as fault:
        raise DataError(f"{path} can't be read ({fault.strerror or fault}).") from fault
    if len(content) > _LARGEST_BYTES:
        raise DataError(
            f"{path} must have at most {_LARGEST_BYTES} bytes. No data set that linnet reads has a file that large."
        )
    return content


def sha256(*contents: bytes) -> str:
    """SHA-256 of the contents one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def check_content(path: Path, content: bytes, known: str) -> None:
    """Refuses a file that isn't the known one.

    Args:
        path: Where it came from, for the message.
        content: Its (decompressed) content.
        known: SHA-256 that the content must have, in hexadecimal.

    Raises:
        DataError: the content has another digest.
    """
    found = sha256(content)
    if found != known:
        raise DataError(
            f"{path} must have the SHA-256 {known[:16]}... (got {found[:16]}...), so it isn't the file that it is "
            "named after. Download it again, or read it under another name."
        )


def _beside(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either."
    names = sorted(entry.name for entry in folder.iterdir())
    return (
        f"Its folder has: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
        if names
        else "Its folder is empty."
    )
