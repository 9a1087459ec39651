"""The C of a program on a Cortex-M4, as QEMU emulates it: words of 32 bits, portable path, files by semihosting."""

from __future__ import annotations

import subprocess
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from linnet.errors import MismatchError
from linnet.jet.c.project import write_c
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.verification.c_builds import STRICT, digest, driver_text, frames_bytes, in_order
from linnet.jet.verification.records import Ran, require_equal
from linnet.jet.verilog.tools import missing, tool

GCC, SIZE, QEMU = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
CORE = ("-mcpu=cortex-m4", "-mthumb")
SECONDS = 600  # emulation is a hundred times slower than the core of a server


def missing_cortex() -> str:
    """Why nothing can be run for a Cortex-M4 here, or ""."""
    return missing(GCC, SIZE, QEMU)


def check_cortex(graph: IntegerGraph, pixels: np.ndarray, expected: np.ndarray) -> list[Ran]:
    """All frames on the emulated core.

    Args:
        graph: The program.
        pixels: (N, *input shape).
        expected: (N, *output shape).

    Returns:
        One run, whose build tells the bytes of flash (code and tables) and of the workspace.

    Raises:
        MismatchError: a value differs, or the program stops.
        ToolError: a tool fails.
    """
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        write_c(graph, folder / "c", "linnet_jet", word_bits=32, overwrite=False)
        source = folder / "c" / "linnet_jet.c"
        (folder / "frames").write_bytes(frames_bytes(graph, pixels))
        flash = _built(source, graph, folder)
        begun = time.perf_counter()
        _run(folder)
        found = in_order(np.fromfile(folder / "results", np.int32), graph, len(expected))
        build = f"Cortex-M4, -Os, {flash:,} bytes of flash"
        values = require_equal(f"cortex-m4 ({build})", graph.output, expected, found)
        version = f"{tool(GCC).version}, {tool(QEMU).version}"
        return [Ran("cortex-m4", build, values, time.perf_counter() - begun, version, digest(source))]


def _built(source: Path, graph: IntegerGraph, folder: Path) -> int:
    """Compiles and links; gives the bytes of the program's code and tables."""
    gcc = tool(GCC)
    (folder / "driver.c").write_text(driver_text(graph, source.stem))
    for name in ("cortex_m.c", "cortex_m.ld"):
        (folder / name).write_text((files("linnet.jet.c") / "runtime" / name).read_text())
    gcc.run(*CORE, *STRICT, "-Os", "-c", "-o", "net.o", str(source), cwd=folder)
    start = gcc.run(*CORE, "--specs=rdimon.specs", "-print-file-name=rdimon-crt0.o").strip()
    gcc.run(
        *CORE, "-Os", "--specs=rdimon.specs", "-nostartfiles", "-T", "cortex_m.ld", "-I", str(source.parent), "-o",
        "net.elf", "cortex_m.c", "driver.c", "net.o", start, cwd=folder,
    )  # fmt: skip
    text, stored, _ = tool(SIZE).run("net.o", cwd=folder).splitlines()[1].split()[:3]
    return int(text) + int(stored)


def _run(folder: Path) -> None:
    given = ",".join(f"arg={word}" for word in ("driver", "0", "frames", "results"))
    command = [
        *tool(QEMU).command, "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting-config", f"enable=on,target=native,{given}", "-kernel", "net.elf",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=SECONDS)
    if run.returncode:
        raise MismatchError(f"cortex-m4 stopped with code {run.returncode}:\n{(run.stdout + run.stderr)[-2000:]}")
