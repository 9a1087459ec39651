"""Files that are either whole or absent: written beside their place, then put there in one move."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from linnet.errors import InputError


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Writes a whole file, or leaves what was there before.

    The content goes to a temporary file in the same folder, is forced to disk, and takes the name in one move; a crash,
    a full disk or an interrupt at any point leaves the old file (or none), never half of the new one.

    Args:
        path: Where the file goes; its folder must exist.
        content: Bytes as they are, or text, written as UTF-8 with `\\n` line ends.

    Returns:
        The path.

    Raises:
        InputError: `path` is a folder, a device, a socket or a pipe; it stays as it is.
        OSError: the folder is missing or can't be written, or the disk is full; nothing is left behind.
    """
    payload = content.encode() if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        _write(temporary, payload)
    return Path(path)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lends a temporary path to a writer that wants a file name; it becomes `path` when the block ends well.

    Args:
        path: Where the file goes. A symbolic link is followed, not replaced.

    Yields:
        A path in the same folder with the same suffix; it doesn't exist yet. Removed if the block raises.

    Raises:
        InputError: `path` is a folder, a device, a socket or a pipe; it stays as it is.
        OSError: the folder is missing (the error names it), or the file can't be forced to disk or moved.
    """
    target = Path(os.path.realpath(path))
    _require_place(Path(path), target)
    temporary = target.with_name(f".{target.stem[:80]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _require_place(path: Path, target: Path) -> None:
    """Refuses to replace anything but a file, and names a folder that is missing."""
    if target.is_dir() or (target.exists() and not target.is_file()):
        what = "a folder" if target.is_dir() else "a device, a socket or a pipe"
        raise InputError(
            f"{path} must be the path of a file (got {what}, which is never replaced). Nothing was written."
        )
    if not target.parent.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))


def sync_folder(folder: Path) -> None:
    """Forces a folder's list of names to disk, so that a moved file keeps its new name after a power cut."""
    if os.name == "nt":  # Windows offers no handle on a folder; its moves are journalled.
        return
    _sync(folder)


def _write(path: Path, payload: bytes) -> None:
    """Writes all bytes to a new file. One place, so that a test can let it fail."""
    with path.open("xb") as file:
        file.write(payload)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
