"""A C folder compiled and called from Python."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet.errors import InputError, ToolError

PATHS = ("portable", "avx2", "avx512")
INSTALL = "Install one: `apt install gcc` or `apt install clang` (Debian, Ubuntu), `xcode-select --install` (macOS)."


def compiler(wanted: str | None = None) -> str:
    """The C compiler: the one wanted, else $CC, gcc, clang or cc.

    Raises:
        ToolError: it isn't installed.
    """
    names = [wanted] if wanted else [name for name in (os.environ.get("CC"), "gcc", "clang", "cc") if name]
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise ToolError(f"`gcc` or `clang` is needed and {' and '.join(names)} can't be found. {INSTALL}")


def built(source: Path, target: Path, flags: Sequence[str], wanted: str | None = None) -> Path:
    """Compiles one C file into a shared library.

    Args:
        source: The .c file.
        target: The library.
        flags: Options after -std=c99.
        wanted: The compiler.

    Raises:
        ToolError: there is no compiler, or it refuses the file; its first messages are shown.
    """
    command = [compiler(wanted), "-std=c99", *flags, "-shared", "-fPIC", "-o", str(target), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = "\n".join(run.stderr.strip().splitlines()[:8])
        raise ToolError(f"{source}: `{' '.join(command)}` failed:\n{lines}")
    return target


class CProgram:
    """A compiled program, called frame by frame.

    Attributes:
        hash: Of the program that the C was made from.
        path: The path that its run takes here: "portable", "avx2" or "avx512".
        paths: All that this machine and build have.
    """

    def __init__(self, library: Path, header: str, name: str) -> None:
        macros = dict(re.findall(rf"#define {name.upper()}_(\w+) \"?\(?([-\w]+)\)?\"?", header))
        self._shape = tuple(
            int(macros[f"INPUT_{axis}"]) for axis in ("CHANNELS", "HEIGHT", "WIDTH") if f"INPUT_{axis}" in macros
        )
        self._out = tuple(
            int(macros[f"OUTPUT_{axis}"]) for axis in ("CHANNELS", "HEIGHT", "WIDTH") if f"OUTPUT_{axis}" in macros
        )
        self._limits = (int(macros["INPUT_LOW"]), int(macros["INPUT_HIGH"]))
        self._type = np.dtype(np.uint8 if "const uint8_t *input" in header else np.int16)
        self.hash = macros["PROGRAM_HASH"]
        loaded = ctypes.CDLL(str(library))
        self._run_path, path = getattr(loaded, f"{name}_run_path"), getattr(loaded, f"{name}_path")
        self._run_path.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        room = int(macros["WORKSPACE_BYTES"]) + 64
        self._workspace = np.zeros(room, np.uint8)
        self._start = -self._workspace.ctypes.data % 64
        self.path = PATHS[path()]
        self.paths = tuple(name for k, name in enumerate(PATHS) if self._has(k))

    def run(self, x: Tensor | np.ndarray, *, path: str | None = None, offset: int = 0) -> Tensor:
        """The program's output, as `Program.run` gives it.

        Args:
            x: Whole pixels (N, C, H, W), or (N, F).
            path: One of `paths`; None takes the fastest.
            offset: Bytes by which the workspace is off a multiple of 64.

        Returns:
            int64 (N, *output shape).

        Raises:
            InputError: other sizes or numbers than the program takes, or a path that isn't there.
        """
        frames, chosen = self._frames(x), self._number(path)
        results = np.empty((len(frames), int(np.prod(self._out))), np.int32)
        workspace = self._workspace.ctypes.data + self._start + offset
        step_in, step_out = frames.strides[0], results.strides[0]
        at_in, at_out = frames.ctypes.data, results.ctypes.data
        for n in range(len(frames)):
            self._run_path(at_in + n * step_in, at_out + n * step_out, workspace, chosen)
        return self._in_order(torch.from_numpy(results.astype(np.int64)))

    def caller(self, x: Tensor | np.ndarray, *, path: str | None = None) -> Callable[[], None]:
        """A call that runs the first frame of `x` again and again and drops the result: what a clock measures.

        Args:
            x: As for `run`.
            path: Likewise.

        Raises:
            InputError: as in `run`, or no frame at all.
        """
        frame = self._frames(x)[:1]
        if not len(frame):
            raise InputError("`x` must hold at least one frame (got none).")
        result = np.empty(int(np.prod(self._out)), np.int32)
        workspace, chosen = self._workspace.ctypes.data + self._start, self._number(path)
        at, out, run = frame.ctypes.data, result.ctypes.data, self._run_path

        def call(_alive: tuple[np.ndarray, np.ndarray] = (frame, result)) -> None:
            run(at, out, workspace, chosen)

        return call

    def __repr__(self) -> str:
        sizes = " -> ".join("x".join(map(str, shape)) for shape in (self._shape, self._out))
        return f"CProgram({sizes}, {self.path}, program {self.hash[:16]})"

    def _number(self, path: str | None) -> int:
        if path is not None and path not in self.paths:
            raise InputError(f"`path` must be one of {', '.join(self.paths)} here (got {path!r}).")
        return PATHS.index(path or self.path)

    def _in_order(self, results: Tensor) -> Tensor:
        """Maps from channel last to torch's order."""
        if len(self._out) == 1:
            return results
        channels, height, width = self._out
        return results.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()

    def _frames(self, x: Any) -> np.ndarray:
        values = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
        values = values[None] if values.ndim == len(self._shape) else values
        if values.dtype.kind not in "iu" or values.shape[1:] != self._shape:
            raise InputError(
                f"`x` must hold integers (N, {', '.join(map(str, self._shape))}) (got {values.dtype} {values.shape})."
            )
        low, high = self._limits
        if values.size and (values.min() < low or values.max() > high):
            raise InputError(f"`x` must hold pixels of {low}..{high} (got {values.min()}..{values.max()}).")
        last = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
        return np.ascontiguousarray(last.astype(self._type))

    def _has(self, path: int) -> bool:
        frame = np.zeros(int(np.prod(self._shape)), self._type) + self._type.type(self._limits[0])
        result = np.zeros(int(np.prod(self._out)), np.int32)
        return (
            self._run_path(frame.ctypes.data, result.ctypes.data, self._workspace.ctypes.data + self._start, path) == 0
        )


def load_c(
    directory: str | os.PathLike[str],
    *,
    name: str | None = None,
    flags: Sequence[str] = ("-O3",),
    compiler: str | None = None,
) -> CProgram:
    """Compiles the C that `Program.to_c` wrote and loads it.

    Args:
        directory: The folder.
        name: Of the program; None takes the folder's only one.
        flags: Options of the compiler.
        compiler: Its name; None takes $CC, gcc or clang.

    Returns:
        The program; its `run` gives the same integers as `Program.run`.

    Raises:
        InputError: the folder holds no program, or several.
        ToolError: there is no compiler, or it fails.
    """
    folder = Path(directory)
    found = sorted(p.stem for p in folder.glob("*.h") if "_PROGRAM_HASH" in p.read_text()) if folder.is_dir() else []
    if name is not None:
        found = [stem for stem in found if stem == name]
    if len(found) != 1:
        raise InputError(
            f"`directory` must hold one program in C (got {folder} with {', '.join(found) or 'none'}). Write one by "
            "program.to_c(directory), or give name=."
        )
    place = Path(tempfile.mkdtemp(prefix="linnet_jet_"))
    try:
        library = built(folder / f"{found[0]}.c", place / f"{found[0]}.so", flags, compiler)
        program = CProgram(library, (folder / f"{found[0]}.h").read_text(), found[0])
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    weakref.finalize(program, shutil.rmtree, place, ignore_errors=True)
    return program
