"""Checkpoints of a run: safetensors files with their facts as JSON in the header and a SHA-256 over everything.

A file is written whole or not at all. One that is cut, changed, empty or of another maker is never used: the one before
it is. Nothing is ever unpickled.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from linnet.errors import CheckpointError
from linnet.results import atomic_write

_log = logging.getLogger(__name__)
_FORMAT = "linnet checkpoint"
_VERSION = 1
_NAME = re.compile(r"checkpoint-(\d{8,})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

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
    unique, aliases = _without_aliases(tensors)
    content = json.loads(json.dumps({"step": step, "facts": dict(facts), "aliases": aliases}))
    header = {"format": _FORMAT, "version": _VERSION, "sha256": _digest(unique, content), **content}
    path = _path(folder, step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(path, safetensors.torch.save(unique, {"linnet": json.dumps(header)}))
    except OSError as error:
        raise CheckpointError(
            f"{path}: the checkpoint can't be written ({error.strerror or error}). Earlier ones are as before. "
            "Make room or give a writable folder, then start again to go on from the last one."
        ) from error
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
            _log.warning("%s The checkpoint before it is tried.", error)
            reasons.append(str(error))
    if reasons:
        raise CheckpointError(
            f"{folder}: no checkpoint can be used. {' '.join(reasons)} "
            "Take a copy from a backup, or start anew with resume=False or another folder."
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
    unique, header = _read(path)
    content: dict[str, Any] = {key: header.get(key) for key in ("step", "facts", "aliases")}
    if header.get("sha256") != _digest(unique, content):
        raise CheckpointError(f"{path}: its SHA-256 doesn't match its content: the file was changed or damaged.")
    if path.name != _path(path.parent, content["step"]).name:
        raise CheckpointError(f"{path}: holds step {content['step']}; it was renamed. Give it back its name.")
    tensors = unique | {alias: unique[name] for alias, name in content["aliases"].items()}
    return Checkpoint(content["step"], tensors, content["facts"], path)


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
    for path in paths[: len(paths) - keep if keep else None]:
        try:
            path.unlink()
        except OSError as error:
            _log.warning("%s: an old checkpoint can't be removed (%s).", path, error.strerror)


def _path(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step:08d}.safetensors"


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file that says it is ours."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("linnet", "null"))
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: no readable checkpoint ({error}); the file is empty, cut or damaged."
        ) from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: a safetensors file, but no checkpoint that linnet wrote.")
    if header.get("version") != _VERSION:
        raise CheckpointError(
            f"{path}: format version {header.get('version')}; this linnet reads {_VERSION}. Update it."
        )
    return tensors, header


def _without_aliases(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors on the CPU, each storage in its own memory, and which names are the same tensor as another."""
    unique: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and place in seen:
            aliases[name] = seen[place]
            continue
        seen[place] = name
        unique[name] = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
    return unique, aliases


def _digest(tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    """SHA-256 over content and every tensor's name, dtype, shape and bytes, in sorted order."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
