"""Saved networks beside safetensors' own functions: size, and the time to write and read with the digest."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import safetensors.torch
from torch import nn

from benchmarks.goal import bounded, time_ratio
from benchmarks.sidebyside import Side
from linnet.engine import load, save
from linnet.results import Record


def records(*, quick: bool) -> list[Record]:
    """All rows of this part."""
    with tempfile.TemporaryDirectory() as folder:
        return _records(Path(folder), quick=quick)


_FORCED = "the file is forced to disk before it takes its name, which the peer's isn't; next row"
_HASHED = "the SHA-256 of one stream alone takes 2 to 3 times as long as the peer's whole load, which checks nothing"


def _network(width: int) -> nn.Module:
    return nn.Sequential(*(nn.Linear(width, width) for _ in range(8)))


def _records(folder: Path, *, quick: bool) -> list[Record]:
    pairs, width = (3, 256) if quick else (15, 1024)
    model, fresh = _network(width), _network(width)
    size = sum(p.nbytes for p in model.parameters())
    ours, theirs = folder / "ours.safetensors", folder / "theirs.safetensors"

    def written(outcome: object) -> int:
        return size

    def peer() -> None:
        safetensors.torch.save_file(model.state_dict(), theirs)

    def forced() -> None:
        peer()
        descriptor = os.open(theirs, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)

    def read() -> nn.Module:
        fresh.load_state_dict(safetensors.torch.load_file(theirs))
        return fresh

    return [
        time_ratio(
            "core.save", f"save {size / 2**20:.0f} MiB, digest included",
            Side("linnet.save", lambda: save(model, ours), written), Side("safetensors", peer, written),
            goal=1.3, pairs=pairs, reason=_FORCED,
        ),
        time_ratio(
            "core.save_forced", f"save {size / 2**20:.0f} MiB, digest included, the peer's file forced to disk too",
            Side("linnet.save", lambda: save(model, ours), written), Side("safetensors + fsync", forced, written),
            goal=1.3, pairs=pairs,
        ),
        time_ratio(
            "core.load", f"load {size / 2**20:.0f} MiB, digest included",
            Side("linnet.load", lambda: load(fresh, ours), written), Side("safetensors", read, written),
            goal=1.5, pairs=pairs, reason=_HASHED,
        ),
        bounded(
            "core.file_size", "file beyond its tensors", ours.stat().st_size / size, bound=1.02, goal="<= 1.02x",
            beside="tensor bytes", unit="x",
        ),
    ]  # fmt: skip
