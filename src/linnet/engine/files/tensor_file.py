"""Tensors and facts in one safetensors file, with a SHA-256 over both; written whole or not at all, never unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from linnet.engine.files import tensor_bytes
from linnet.errors import CheckpointError, InputError
from linnet.results.files import atomic_path


@dataclass(frozen=True)
class Kind:
    """The purpose of a file.

    Attributes:
        name: Stands in the file, and in errors: "checkpoint", "nucleus detector".
        version: Version of the facts' layout; a file with a higher one is refused.
    """

    name: str
    version: int = 1


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], facts: Mapping[str, Any], kind: Kind
) -> Path:
    """Writes a safetensors file whose header holds `facts` as JSON, atomically.

    Args:
        path: The file; its folder must exist.
        tensors: By name; any device, dtype and stride. Tensors that are one in memory are stored once.
        facts: Plain JSON values.
        kind: What the file is for.

    Returns:
        The path.

    Raises:
        CheckpointError: it can't be written, or `path` isn't a regular file; an earlier file stays as it was.
        InputError: the facts can't be written as JSON.
    """
    path = Path(path)
    unique, aliases = _without_aliases(tensors)
    content = {"kind": kind.name, "version": kind.version, "facts": _plain(facts, kind), "aliases": aliases}
    try:
        with atomic_path(path) as temporary:
            tensor_bytes.write(temporary, unique, content)
    except InputError as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        if not path.parent.exists():
            raise CheckpointError(
                f"{path}: the {kind.name} can't be written, because the folder {path.parent} doesn't exist. Make "
                "it first, or give another path."
            ) from error
        raise CheckpointError(
            f"{path}: the {kind.name} can't be written ({error.strerror or error}). An earlier file stays as it "
            "was. Make room, or give a writable folder."
        ) from error
    return path


def read_tensors(path: str | os.PathLike[str], kind: Kind) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads a file that `write_tensors` wrote and proves that it is whole.

    Args:
        path: The file.
        kind: What it must be for.

    Returns:
        (tensors on the CPU by name, facts).

    Raises:
        CheckpointError: the file is missing, a folder, empty, cut, changed, a pickle, of another maker, for something
            else, or of a newer version.
    """
    path = Path(path)
    tensors, header, digest = _open(path, kind)
    if header.get("kind") != kind.name:
        raise CheckpointError(f"{path}: the file must hold {_one(kind.name)} (got {_one(header.get('kind'))}).")
    if not isinstance(header.get("version"), int) or header["version"] > kind.version:
        raise CheckpointError(
            f"{path}: the {kind.name} must be of version {kind.version} or earlier (got {header.get('version')}). "
            "Update linnet."
        )
    if header.get("sha256") != digest:
        raise CheckpointError(f"{path}: the SHA-256 doesn't match the content, so the file was changed or damaged.")
    return tensors | {alias: tensors[name] for alias, name in header["aliases"].items()}, header["facts"]


def _content(header: Mapping[str, Any]) -> dict[str, Any]:
    """What the digest covers beside the tensors."""
    return {key: header.get(key) for key in ("kind", "version", "facts", "aliases")}


def _one(kind: str | None) -> str:
    """A kind with its article."""
    return f"{'an' if str(kind).startswith(tuple('aeiou')) else 'a'} {kind}"


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of a file that `write_tensors` wrote, from its header alone; None for another safetensors file.

    Raises:
        CheckpointError: the file is missing, a folder, empty, cut, or not a safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "doesn't exist"
        raise CheckpointError(f"{path} must be a safetensors file (it {what}). Check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("linnet", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} isn't a readable safetensors file ({_reason(path, error)}).") from error
    return header.get("kind") if isinstance(header, dict) else None


def digest_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a whole file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(facts: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """As they will be read: tuples are lists, and keys are text, which changes their order in the digest."""
    try:
        return json.loads(json.dumps(dict(facts)))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The facts of the {kind.name} must be plain numbers, texts, lists and dicts, which JSON can hold "
            f"({error})."
        ) from error


def _open(path: Path, kind: Kind) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "doesn't exist"
        raise CheckpointError(f"{path} must be a file that holds one {kind.name} (it {what}). Check the path.")
    try:
        with safe_open(path, framework="pt") as file:  # checks the layout
            header = json.loads((file.metadata() or {}).get("linnet", "null"))
        if isinstance(header, dict):
            return tensor_bytes.read(path, _content)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} isn't a readable {kind.name} ({_reason(path, error)}). Give a safetensors file that linnet wrote."
        ) from error
    raise CheckpointError(f"{path} must be a {kind.name} that linnet wrote (got another safetensors file).")


def _reason(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return str(error)
    if not start:
        return "the file is empty"
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "it looks like a pickle, which could run code and is never loaded"
    return f"it is cut, damaged or of another format: {error}"


def _without_aliases(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors on the CPU, no two in one storage, and which names are the same tensor as another."""
    unique: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and place in seen:
            aliases[name] = seen[place]
            continue
        seen[place] = name
        storage = tensor.untyped_storage()
        alone = storage.data_ptr() not in storages and storage.nbytes() == tensor.nbytes
        if tensor.device.type == "cpu" and tensor.is_contiguous() and alone:
            unique[name] = tensor
        else:
            unique[name] = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
        storages.add(storage.data_ptr())
    return unique, aliases
