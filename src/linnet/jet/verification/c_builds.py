"""The C of a program, built in several ways and run on all frames by a small driver."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from linnet.errors import InputError, MismatchError, ToolError
from linnet.jet.c.compiled import PATHS, compiler
from linnet.jet.c.project import write_c
from linnet.jet.c.source import c_source, pixel_type
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.verification.records import Ran, located, require_equal

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_NO_PATH = 3  # exit code of the driver for a path that isn't there


@dataclass(frozen=True)
class Build:
    """One way to compile: a word for reports, options, and whether it may be missing on a machine."""

    word: str
    flags: tuple[str, ...]
    optional: bool = False


BUILDS = (
    Build("-O0", ("-O0",)),
    Build("-O3", ("-O3",)),
    Build("-Os portable", ("-Os", "-DLINNET_JET_PORTABLE")),
    Build("address, undefined sanitizers", SANITIZE, optional=True),
    Build("-m32", ("-O2", "-m32"), optional=True),
)


def missing_c() -> str:
    """Why C can't be built here, or ""."""
    try:
        compiler()
    except ToolError as error:
        return str(error)
    return ""


def check_c(
    graph: IntegerGraph,
    pixels: np.ndarray,
    expected: np.ndarray,
    directory: Path | None,
    skipped: dict[str, str],
    *,
    thorough: bool,
) -> list[Ran]:
    """Every build and path on all frames.

    Args:
        graph: The program.
        pixels: (N, *input shape).
        expected: (N, *output shape).
        directory: Folder with one C program; None: it is written anew.
        skipped: Takes what can't run here, with the reason.
        thorough: All builds; False: -O3 alone.

    Raises:
        MismatchError: a value differs, or the folder holds another program.
        ToolError: a build fails.
    """
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        source, name = _source(graph, directory, folder)
        (folder / "frames").write_bytes(frames_bytes(graph, pixels))
        ran = []
        for build in BUILDS if thorough else BUILDS[1:2]:
            driver = _built(source, name, folder, build, graph, skipped)
            if driver is not None:
                ran += _paths(driver, build, graph, expected, skipped, source, pixels)
        return ran


def frames_bytes(graph: IntegerGraph, pixels: np.ndarray) -> bytes:
    """Frames as the C reads them: rows of pixels, channel last."""
    kind = np.uint8 if pixel_type(graph) == "uint8_t" else np.int16
    last = pixels.transpose(0, 2, 3, 1) if pixels.ndim == 4 else pixels
    return np.ascontiguousarray(last.astype(kind)).tobytes()


def _source(graph: IntegerGraph, directory: Path | None, folder: Path) -> tuple[Path, str]:
    if directory is None:
        write_c(graph, folder / "c", "linnet_jet", word_bits=64, overwrite=False)
        return folder / "c" / "linnet_jet.c", "linnet_jet"
    headers = [path for path in sorted(directory.glob("*.h")) if "_PROGRAM_HASH" in path.read_text()]
    if len(headers) != 1:
        raise InputError(
            f"`directory` must hold one program in C (got {directory} with "
            f"{', '.join(path.stem for path in headers) or 'none'}). Write one by program.to_c(directory)."
        )
    if graph.hash not in headers[0].read_text():
        raise MismatchError(
            f"{headers[0]}: its hash isn't that of this program ({graph.hash[:16]}). Write it anew: to_c."
        )
    return headers[0].with_suffix(".c"), headers[0].stem


def _built(
    source: Path, name: str, folder: Path, build: Build, graph: IntegerGraph, skipped: dict[str, str]
) -> Path | None:
    (folder / "driver.c").write_text(driver_text(graph, name))
    target = folder / "driver"
    command = [compiler(), *STRICT, *build.flags, "-I", str(source.parent), "-o", str(target), str(folder / "driver.c")]
    run = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return target
    lines = run.stderr.strip().splitlines()
    if build.optional and not _compiles(build, folder):
        why = next((line for line in lines if "error" in line), "no message")
        skipped[f"c {build.word}"] = f"this compiler can't build for it ({why})"
        return None
    raise ToolError(f"{source}: `{' '.join(command)}` failed:\n" + "\n".join(lines[:8]))


def driver_text(graph: IntegerGraph, name: str) -> str:
    """C that runs all frames of a file."""
    template = Template((files("linnet.jet.c") / "runtime" / "driver.c").read_text())
    return template.substitute({"name": name, "upper": name.upper(), "pixel": pixel_type(graph)})


def _compiles(build: Build, folder: Path) -> bool:
    """Whether the compiler can do a build at all, shown by the smallest program."""
    probe = folder / "probe.c"
    probe.write_text('#include <stdio.h>\nint main(void) { return puts("") < 0; }\n')
    command = [compiler(), *build.flags, "-o", str(folder / "probe"), str(probe)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _paths(
    driver: Path,
    build: Build,
    graph: IntegerGraph,
    expected: np.ndarray,
    skipped: dict[str, str],
    source: Path,
    pixels: np.ndarray,
) -> list[Ran]:
    ran = []
    for number, path in enumerate(PATHS):
        begun = time.perf_counter()
        command = [str(driver), str(number), str(driver.parent / "frames"), str(driver.parent / "results")]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        where = f"{build.word}, {path}"
        if run.returncode == _NO_PATH:
            if "portable" not in build.word and "-m32" not in build.word:
                skipped[f"c {where}"] = "this CPU hasn't it"
            continue
        if run.returncode:
            raise MismatchError(f"c ({where}) stopped with code {run.returncode}:\n{run.stderr[-2000:]}")
        found = in_order(np.fromfile(driver.parent / "results", np.int32), graph, len(expected))
        if not np.array_equal(found, expected):
            _raise_located(f"c ({where})", graph, source, pixels, expected, found, number)
        values = require_equal(f"c ({where})", graph.output, expected, found)
        ran.append(Ran("c", where, values, time.perf_counter() - begun, version(), digest(source)))
    return ran


def in_order(results: np.ndarray, graph: IntegerGraph, frames: int) -> np.ndarray:
    """What the C wrote, as (N, *output shape)."""
    shape = graph.output.shape
    if len(shape) == 1:
        return results.reshape(frames, *shape).astype(np.int64)
    return results.reshape(frames, *shape[1:], shape[0]).transpose(0, 3, 1, 2).astype(np.int64)


def _raise_located(
    where: str,
    graph: IntegerGraph,
    source: Path,
    pixels: np.ndarray,
    expected: np.ndarray,
    found: np.ndarray,
    path: int,
) -> None:
    """Raises with the first layer that differs, or the first line of the file that isn't what is written today."""
    fresh, held = c_source(graph, source.stem, 64).source, source.read_text()
    if fresh != held:
        pairs = zip(fresh.splitlines(), held.splitlines(), strict=False)
        line = next((n for n, (a, b) in enumerate(pairs, 1) if a != b), 0)
        raise MismatchError(
            f"{where}: {located(graph.output, expected, found)} {source.name} isn't the file that this program gives: "
            f"line {line} differs. Write it anew: program.to_c(directory, overwrite=True)."
        )
    raise MismatchError(f"{where}: {_first_layer(graph, pixels, path) or located(graph.output, expected, found)}")


def _first_layer(graph: IntegerGraph, pixels: np.ndarray, path: int) -> str:
    """The first node whose C gives other numbers, found by cutting the program after each."""
    from linnet.jet.c.compiled import load_c
    from linnet.jet.reference.numpy_reference import run_numpy

    for count in range(2, len(graph.nodes) + 1):
        part = dataclasses.replace(graph, nodes=graph.nodes[:count])
        with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
            write_c(part, place, "part", word_bits=64, overwrite=False)
            program = load_c(place, flags=("-O1",))
            found = program.run(pixels[:16], path=PATHS[path]).numpy()
        expected = run_numpy(part, pixels[:16])
        if not np.array_equal(found, expected):
            return located(part.output, expected, found)
    return ""


def version() -> str:
    """First line of the compiler's `--version`."""
    run = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False)
    return (run.stdout.splitlines() or [""])[0]


def digest(source: Path) -> str:
    """SHA-256 of the file and its header."""
    parts: Sequence[Path] = (source, source.with_suffix(".h"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
