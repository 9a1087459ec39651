"""Checkpoints of a run: safetensors files with their facts as JSON in the header and a SHA-256 over everything.

A file is written whole or not at all. One that is cut, changed, empty or of another maker is never used: the one before
it is used instead. Nothing is ever unpickled.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from linnet.engine.files.tensor_file import Kind, read_tensors, write_tensors
from linnet.errors import CheckpointError

_log = logging.getLogger(__name__)
_KIND = Kind("checkpoint")
_NAME = re.compile(r"checkpoint-(\d{8,})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        step: Updates done.
        tensors: By name, on the CPU.
        facts: Plain JSON values.
        path: The file.
    """

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    path: Path


def save_checkpoint(
    folder: str | os.PathLike[str],
    step: int,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    *,
    keep: int = 2,
) -> Path:
    """Writes `checkpoint-<step>.safetensors`, atomically, and then removes all but the newest `keep`.

    Args:
        folder: Made when missing.
        step: Updates done.
        tensors: By name; any device, dtype and stride. Tensors that are one in memory are stored once.
        facts: As JSON can hold them.
        keep: How many checkpoints stay, 1 or more.

    Returns:
        The file.

    Raises:
        CheckpointError: it can't be written (disk full, folder unwritable); earlier checkpoints are as before.
    """
    folder = Path(folder)
    path = _path(folder, step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{folder} can't be written to ({error.strerror}). Give another folder for checkpoints."
        ) from error
    write_tensors(path, tensors, {"step": step, "facts": dict(facts)}, _KIND)
    remove_checkpoints(folder, keep=max(1, keep))
    return path


def load_latest(folder: str | os.PathLike[str]) -> Checkpoint | None:
    """The newest checkpoint of a folder that can be used; damaged ones are passed over with a logged warning.

    Returns:
        The checkpoint, or None when the folder holds none (or doesn't exist).

    Raises:
        CheckpointError: there are checkpoints, and not one of them can be used; each is named with the reason.
    """
    reasons = []
    for path in reversed(list_checkpoints(folder)):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            _log.warning("%s The checkpoint before it is used.", error)
            reasons.append(str(error))
    if reasons:
        raise CheckpointError(
            f"{folder}: no checkpoint can be used. {' '.join(reasons)} Take a copy from a backup, or start again "
            "with resume=False or another folder."
        )
    return None


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads one checkpoint and proves that it is whole.

    Args:
        path: What `save_checkpoint` gave.

    Returns:
        The checkpoint, its tensors on the CPU.

    Raises:
        CheckpointError: the file is missing, empty, cut, changed, renamed, of a newer format or not ours.
    """
    path = Path(path)
    tensors, content = read_tensors(path, _KIND)
    step: int = content["step"]
    if path.name != _path(path.parent, step).name:
        raise CheckpointError(f"{path} holds step {step}, so it was renamed. Give it back its name.")
    return Checkpoint(step, tensors, content["facts"], path)


def list_checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """The files of a folder that are named like checkpoints, oldest first."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    named = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(named)]


def remove_checkpoints(folder: str | os.PathLike[str], *, keep: int = 0) -> None:
    """Removes all checkpoints of a folder but the newest `keep`; other files are never touched."""
    paths = list_checkpoints(folder)
    for path in paths[: max(len(paths) - keep, 0)]:
        try:
            path.unlink()
        except OSError as error:
            _log.warning("%s: an old checkpoint can't be removed (%s).", path, error.strerror)


def _path(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step:08d}.safetensors"
