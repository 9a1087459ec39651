"""Record: one measured number with its origin, as one line of JSON."""

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linnet.errors import InputError
from linnet.results.files import atomic_write
from linnet.results.provenance import command, commit, machine, versions

_log = logging.getLogger(__name__)

Fact = str | int | float | bool


@dataclass(frozen=True)
class Record:
    """One number and where it comes from.

    Attributes:
        name: What was measured, dotted from wide to narrow: "nuclei.f1.small_fluo".
        value: The number; None when it couldn't be measured. NaN and infinity become None.
        unit: "MP/s", "px", ...; "" for a pure number. Fractions are 0..1.
        n: How many things (images, seeds, pairs) it was taken over.
        interval: (low, high) around the value, at `level`.
        level: Coverage of the interval, a fraction in (0, 1).
        rng_seed: The random seed, when one took part.
        split: Of the data: "train", "val", "test".
        method: What reached it: "linnet" or a peer.
        context: More facts: `{"radius_px": 5}`.
        command: What to type to measure it again.
        commit: Commit of the code that measured it.
        machine: The machine it ran on.
        versions: Versions of the packages it ran with.
        time: When, ISO 8601 in UTC.

    Raises:
        InputError: the name is empty, or an interval is upside down or has no level.

    Example:
        >>> Record("f1", 0.5, n=3).to_json()
        '{"name": "f1", "value": 0.5, "n": 3, "method": "linnet"}'
    """

    name: str
    value: float | None
    unit: str = ""
    n: int | None = None
    interval: tuple[float, float] | None = None
    level: float | None = None
    rng_seed: int | None = None
    split: str = ""
    method: str = "linnet"
    context: Mapping[str, Fact] = field(default_factory=dict)
    command: str = ""
    commit: str = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    time: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError('`name` must not be empty. Say what was measured, such as "nuclei.f1.small_fluo".')
        if self.value is not None:
            object.__setattr__(self, "value", _finite(self.value))
        if self.interval is not None:
            object.__setattr__(self, "interval", _interval(self.name, self.interval, self.level))
        object.__setattr__(self, "context", dict(self.context))
        object.__setattr__(self, "versions", dict(self.versions))

    @classmethod
    def measured(cls, name: str, value: float | None, **facts: Any) -> "Record":
        """A record of something measured now: command, commit, machine, versions and time are filled in.

        Args:
            name: What was measured.
            value: The number.
            **facts: Any other field; one that is given isn't filled in.

        Returns:
            The record.
        """
        here: dict[str, Any] = {
            "command": command(),
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return cls(name, value, **(here | facts))

    def to_json(self) -> str:
        """The record as one line of JSON; fields at their empty default are left out, `value` never is."""
        line = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {key: value for key, value in line.items() if key == "value" or value not in (None, "", {})}
        return json.dumps(_without_nan(kept), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """The record that a line of JSON holds.

        Args:
            line: What `to_json` gave. Keys that this version doesn't know are left out.

        Raises:
            InputError: the line isn't JSON, isn't an object, or has no `name`.
        """
        try:
            content = json.loads(line)
        except ValueError as error:
            raise InputError(f"{line[:60]!r} is not a line of JSON ({error}).") from error
        if not isinstance(content, dict) or not isinstance(content.get("name"), str):
            raise InputError(f'{line[:60]!r} must be a record: a JSON object with "name" and "value".')
        known = {f.name for f in fields(cls)}
        facts: dict[str, Any] = {"value": None}
        facts |= {key: value for key, value in content.items() if key in known}
        try:
            return cls(**facts)
        except (TypeError, ValueError) as error:
            raise InputError(f"{line[:60]!r} can't be read as a record: {error}") from error


def write_records(path: str | os.PathLike[str], records: Iterable[Record]) -> Path:
    """Writes records to a file, one a line, atomically.

    Args:
        path: The file, by habit `record.jsonl`; replaced when it exists.
        records: In the order wanted.

    Returns:
        The path.
    """
    return atomic_write(path, "".join(record.to_json() + "\n" for record in records))


def append_record(path: str | os.PathLike[str], record: Record) -> None:
    """Adds one record to a file and forces it to disk. A half-written last line, left by a killed process, is cut off.

    Args:
        path: The file; made when it doesn't exist.
        record: What to add.
    """
    path = Path(path)
    line = (record.to_json() + "\n").encode()
    with path.open("ab+") as file:
        _mend_end(path, file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_records(path: str | os.PathLike[str]) -> list[Record]:
    """Reads a file of records.

    Args:
        path: A file with one record a line; empty lines are skipped.

    Returns:
        The records in their order. A last line that was only half written is left out, with a logged warning.

    Raises:
        InputError: the file can't be read, or a line before the last isn't a record; its number is named.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}). Give a file of records.") from error
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(Record.from_json(line.decode()))
        except (InputError, UnicodeDecodeError) as error:
            if number == len(lines):  # what follows the last newline
                _log.warning("%s: the last line is half written and is left out.", path)
                break
            raise InputError(f"{path}, line {number}: {error}") from error
    return records


def _finite(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


def _interval(name: str, interval: tuple[float, float], level: float | None) -> tuple[float, float]:
    low, high = (float(bound) for bound in interval)
    if low > high:
        raise InputError(f"`{name}`: `interval` must be (low, high) (got ({low}, {high})).")
    if level is None or not 0 < level < 1:
        raise InputError(
            f"`{name}`: `level` must be the interval's coverage, between 0 and 1 (got {level}). Give one such as "
            "level=0.95."
        )
    return low, high


def _without_nan(value: Any) -> Any:
    """Replaces NaN and infinity, which JSON doesn't have, by None, at any depth."""
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_without_nan(item) for item in value]
    return value


def _mend_end(path: Path, file: Any) -> None:
    """Makes the file end in a newline: a whole last line gets one, half a line goes."""
    file.seek(0)
    head, newline, tail = file.read().rpartition(b"\n")
    if not tail:
        return
    try:
        Record.from_json(tail.decode())
    except (InputError, UnicodeDecodeError):
        _log.warning("%s: the last line was half written and is cut off.", path)
        file.truncate(len(head) + len(newline))
    else:
        file.write(b"\n")
