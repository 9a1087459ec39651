"""RunFolder: one folder with everything that a run leaves: its command, its environment and its results."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from linnet.errors import InputError
from linnet.results.files import atomic_write
from linnet.results.provenance import command, commit, environment
from linnet.results.record import Record, append_record, read_records

_RUN = "run.json"
_RECORDS = "record.jsonl"


@dataclass(frozen=True)
class RunFolder:
    """A folder with `run.json` (command, versions, seeds, commit, machine), `record.jsonl`, checkpoints and weights.

    Make one with `create` or `open`.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(
        cls,
        parent: str | os.PathLike[str],
        name: str,
        *,
        rng_seeds: Mapping[str, int] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> "RunFolder":
        """Makes a new folder `parent/name`, or `parent/name-2`, `-3`, ... when that is taken.

        Args:
            parent: Where run folders stand; made when missing.
            name: Of the run; one folder name, no separators.
            rng_seeds: The random seeds of the run, by what they are for.
            facts: More for `run.json`, as JSON can hold it.

        Returns:
            The folder, with `run.json` written.

        Raises:
            InputError: `name` isn't one folder name.
        """
        if not name or name in (".", "..") or Path(name).name != name:
            raise InputError(f"`name` must be one folder name without separators (got {name!r}).")
        folder = cls(_free_folder(Path(parent), name))
        content = {"name": name, "command": command(), "commit": commit(), **environment()}
        content |= {"rng_seeds": dict(rng_seeds or {}), "started": datetime.now(UTC).isoformat(timespec="seconds")}
        atomic_write(folder.path / _RUN, json.dumps(content | dict(facts or {}), indent=2) + "\n")
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """Opens a run folder that exists, to read it or to go on in it.

        Raises:
            InputError: there is no folder, or it holds no `run.json`.
        """
        folder = cls(Path(path))
        if not (folder.path / _RUN).is_file():
            raise InputError(
                f"{path} must be a run folder (it has no {_RUN}). Give a folder that a linnet run has left."
            )
        return folder

    @property
    def facts(self) -> dict[str, Any]:
        """What `run.json` holds.

        Raises:
            InputError: the file isn't JSON.
        """
        try:
            return json.loads((self.path / _RUN).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{self.path / _RUN} isn't JSON ({error}). Give the folder of another run.") from error

    @property
    def checkpoints(self) -> Path:
        """The folder that `engine.fit(folder=...)` writes its checkpoints to."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """Where the trained network goes."""
        return self.path / "weights.safetensors"

    def record(self, record: Record) -> None:
        """Adds a record to `record.jsonl`, forced to disk."""
        append_record(self.path / _RECORDS, record)

    def records(self) -> list[Record]:
        """The records so far; empty when there are none."""
        path = self.path / _RECORDS
        return read_records(path) if path.exists() else []


def _free_folder(parent: Path, name: str) -> Path:
    """Makes and returns the first folder of the row name, name-2, name-3, ... that doesn't exist or is empty."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            if path.is_dir() and not any(path.iterdir()):
                return path
            continue
        return path
    raise AssertionError("count() doesn't end")
