"""Exchange: a part as one safetensors file with its plan in the header. It appears whole or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from linnet.prune import Plan


def write_part(path: Path, plan: Plan, state: Mapping[str, Tensor], samples: int) -> int:
    """Writes a part; gives its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, half, metadata={"plan": plan.to_json(), "samples": str(samples)})
    half.replace(path)
    return path.stat().st_size


def read_part(path: Path) -> tuple[Plan, dict[str, Tensor], int]:
    """Plan, state and number of samples of a part."""
    with safe_open(path, "pt") as file:
        facts = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    return Plan.from_json(facts["plan"]), state, int(facts["samples"])


class Sign:
    """Touches a file while its process lives: `with Sign(path): ...`."""

    def __init__(self, path: Path):
        self._path, self._over = path, threading.Event()
        self._thread = threading.Thread(target=self._touch, daemon=True)

    def __enter__(self) -> Sign:
        self._path.touch()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _touch(self) -> None:
        while not self._over.wait(0.2):
            self._path.touch()


def waited_for(path: Path, sign: Path, patience_s: float) -> bool:
    """Whether a file came before its maker gave no sign of life for so long (a minute for the first one)."""
    seen, since = None, time.monotonic()
    while not path.exists():
        now = sign.stat().st_mtime_ns if sign.exists() else None
        if now != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > (max(patience_s, 60.0) if seen is None else patience_s):
            return path.exists()
        time.sleep(0.02)
    return True
