"""The origin of a number: versions, threads, device, machine, commit, command. Never a host name."""

import functools
import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TypedDict

_PACKAGES = ("linnet", "torch", "numpy", "scipy", "scikit-image", "safetensors", "tifffile")
_COMMAND_LENGTH = 500


class Environment(TypedDict):
    """Where a measurement was made."""

    versions: dict[str, str]
    threads: int
    device: str
    machine: str


def environment() -> Environment:
    """Versions of the packages that compute, threads, device and kind of machine.

    Returns:
        `versions` (package or "python" -> version), `threads` (torch's intra-op threads), `device` ("cpu", or the GPU's
        name) and `machine` ("Linux x86_64, 2 cores, <CPU model>").
    """
    import torch  # here, so that records can be read without it

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return Environment(versions=versions(), threads=torch.get_num_threads(), device=device, machine=machine())


def versions() -> dict[str, str]:
    """Version of Python and of each package that takes part in computing, where installed."""
    return dict(_versions())


@functools.cache  # every record asks, and each look into the installed packages takes milliseconds
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def machine() -> str:
    """Operating system, architecture, usable cores and CPU model, in one line."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    parts = [f"{platform.system()} {platform.machine()}", f"{cores} cores", _cpu_model()]
    return ", ".join(part for part in parts if part)


@functools.cache
def commit() -> str:
    """The commit that runs: git's short hash in a checkout ("+changes" when tracked files differ), else the version.

    Returns:
        Like "3f2a9c1d04be", "3f2a9c1d04be+changes", or "linnet 0.1.0" for an installed package.
    """
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / ".git").exists() and (checkout / "pyproject.toml").exists():
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        if head:
            return head + ("+changes" if _git(checkout, "status", "--porcelain", "--untracked-files=no") else "")
    return f"linnet {versions().get('linnet', 'not installed')}"


def command() -> str:
    """The command line of this process as one would type it, without the folder of the interpreter.

    Returns:
        Like "linnet demo" or "python -m benchmarks nuclei"; cut at 500 characters.
    """
    words = list(sys.orig_argv)
    if words:
        words[0] = "python" if Path(words[0]).name.startswith("python") else Path(words[0]).name
    if len(words) > 1 and Path(words[1]).parent == Path(sys.executable).parent:  # an installed script
        words = [Path(words[1]).name, *words[2:]]
    return shlex.join(words)[:_COMMAND_LENGTH]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _git(checkout: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
