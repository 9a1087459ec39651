"""Python in a process of its own: what it prints there, and how much memory a call takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from benchmarks.peak_memory import begin_anew, peak_bytes, status_bytes

Peak = Literal["process", "call"]


@dataclass(frozen=True)
class Done:
    """A call that was made in a process of its own.

    Attributes:
        value: What it gave: text, a number or None.
        wall_s: Seconds that it took.
        before_bytes: Memory before it: with the peak of the process the most until then, with that of the call what was
            resident.
        peak_bytes: The most resident memory, of the process or during the call.
    """

    value: str | float | None
    wall_s: float
    before_bytes: int
    peak_bytes: int

    @property
    def extra_bytes(self) -> int:
        """How much the peak is above what was there before."""
        return max(0, self.peak_bytes - self.before_bytes)


def own_process(make: Callable[..., Callable[[], object]], *arguments: str | int, peak: Peak) -> Done:
    """Makes a call and carries it out in a process of its own, where nothing else has used memory.

    Args:
        make: A function of a module; gives the call that is measured. What it does itself isn't timed.
        *arguments: Of `make`.
        peak: "process": the most memory since the process began. "call": the most during the call, after a first one
            that warms up and isn't counted; only where `peak_memory.RESETTABLE`.
    """
    words = make.__module__, make.__qualname__, peak, json.dumps(arguments)
    return Done(**json.loads(python("-m", "benchmarks.process", *words)))


def python(*words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """What a fresh Python prints that is started with these words.

    Args:
        *words: Options and arguments of the interpreter, such as "-c" and code.
        folder: Where it is started; None: here.
        environment: Its variables; None: those of this process.

    Raises:
        CalledProcessError: it failed; what it wrote to the error stream is on that of this process.
    """
    given = {"cwd": folder, "env": environment}
    return subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True, **given).stdout


def main(module: str, name: str, peak: Peak, arguments: str) -> None:
    """The side of the new process: makes the call, carries it out and prints what it took, as JSON."""
    call = getattr(import_module(module), name)(*json.loads(arguments))
    if peak == "call":
        call()
        begin_anew()
    before = peak_bytes() if peak == "process" else status_bytes("VmRSS")
    begin = time.perf_counter()
    value = call()
    wall_s = time.perf_counter() - begin
    print(json.dumps({"value": value, "wall_s": wall_s, "before_bytes": before, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:])  # pyright: ignore[reportArgumentType]
