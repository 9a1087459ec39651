"""The cache of timings: kernels and networks on this machine, kept on disk so that each is timed once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linnet.engine.compute.timing import on_threads, quickest
from linnet.engine.onnx.runtime import cpu_name, runtime_name
from linnet.prune.budget import Budget
from linnet.prune.latency.kernel import Kernel
from linnet.results import atomic_write

logger = logging.getLogger(__name__)

_FORMAT = 1


def cache_folder() -> Path:
    """The folder of the measurements: LINNET_CACHE, else `linnet` in XDG_CACHE_HOME, else ~/.cache/linnet."""
    own = os.environ.get("LINNET_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linnet"


class Measured:
    """Times by runtime and version, processor, batch and threads; a file for each of these.

    Args:
        budget: Its runtime, batch and threads.
        folder: Of the files; None takes `cache_folder()`.

    Raises:
        MissingExtra: the runtime isn't installed.
    """

    def __init__(self, budget: Budget, folder: Path | None = None):
        self.runtime, self.batch, self.threads = budget.runtime, budget.batch, budget.threads
        self.name, self.cpu = runtime_name(budget.runtime), cpu_name()
        self.about = f"{self.name}, {self.cpu}, batch {self.batch}, {self.threads} threads"
        digest = hashlib.sha256(self.about.encode()).hexdigest()[:16]
        self.path = (folder or cache_folder()) / "latency" / f"{digest}.json"
        self._kernels, self._networks = self._read()
        self.taken = 0
        self._empty_s: float | None = None

    def kernel_ns(self, kernel: Kernel, inputs: int, outputs: int) -> float:
        """Nanoseconds of a kernel alone, less what an empty call takes."""
        key = f"{kernel.key} {inputs} {outputs}"
        if key not in self._kernels:
            with on_threads(self.threads):
                empty = self._empty()
                took = quickest(kernel.call(inputs, outputs, self.runtime, batch=self.batch, threads=self.threads))
            self._kernels[key] = max(took - empty, 1e-7) * 1e9
            self.taken += 1
        return self._kernels[key]

    def networks(self, network: str) -> dict[tuple[int, ...], float]:
        """Widths -> nanoseconds of a network's earlier measurements.

        Args:
            network: Its digest.
        """
        known = self._networks.get(network, {})
        return {tuple(int(width) for width in key.split(",")): float(value) for key, value in known.items()}

    def keep_network(self, network: str, widths: tuple[int, ...], ns: float) -> None:
        """Remembers a measured network."""
        self._networks.setdefault(network, {})[",".join(map(str, widths))] = ns

    def save(self) -> None:
        """Writes what was measured beside what others wrote meanwhile; a folder that can't be written is no error."""
        kernels, networks = self._read()
        merged = {key: networks.get(key, {}) | self._networks.get(key, {}) for key in {**networks, **self._networks}}
        content = {"format": _FORMAT, "about": self.about, "kernels": kernels | self._kernels, "networks": merged}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, json.dumps(content))
        except OSError as error:
            logger.warning("measured times can't be kept in %s (%s); they will be measured again", self.path, error)

    def _empty(self) -> float:
        """Seconds of a call that computes next to nothing, which every kernel's time includes."""
        if self._empty_s is None:
            none: tuple[int, ...] = ()
            least = Kernel("product", none, none, none, none, none, transposed=False, groups=1, extent=(1,))
            self._empty_s = quickest(least.call(1, 1, self.runtime, batch=1, threads=self.threads))
        return self._empty_s

    def _read(self) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            if stored["format"] != _FORMAT:
                return {}, {}
            kernels = {str(key): float(value) for key, value in stored["kernels"].items()}
            networks = {str(name): _floats(points) for name, points in stored["networks"].items()}
            return kernels, networks
        except FileNotFoundError:
            return {}, {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s can't be read (%s); the times are measured again", self.path, error)
            return {}, {}


def _floats(points: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(value) for key, value in points.items()}
