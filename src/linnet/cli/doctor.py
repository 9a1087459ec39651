"""`linnet doctor`: the abilities of this machine, and the exact line that installs a missing part."""

import hashlib
import os
import platform
from importlib import metadata, resources
from typing import NamedTuple

from packaging.requirements import Requirement

from linnet import __version__
from linnet.errors import DataError, LinnetError


class Finding(NamedTuple):
    """One line of the doctor's list.

    Attributes:
        name: The part that was checked.
        found: What was found; where it is not good, what to do.
        good: Whether it can be used as it is.
        needed: Whether linnet can't work without it.
    """

    name: str
    found: str
    good: bool = True
    needed: bool = False


def doctor() -> int:
    """Show versions, devices, threads, extras, the data folder and the shipped weights.

    Changes nothing and downloads nothing. Whatever is missing comes with the line that installs it.
    """
    sections = {"Versions": versions(), "Compute": compute(), "Extras": extras(), "Files": files()}
    for title, findings in sections.items():
        print(title)
        for finding in findings:
            print(f"  {'ok' if finding.good else '--'}  {finding.name:<16} {finding.found}")
    broken = any(finding.needed and not finding.good for findings in sections.values() for finding in findings)
    print()
    print("Something that linnet needs is missing; see the lines marked --." if broken else "Ready. Next: linnet demo")
    return int(broken)


def versions() -> list[Finding]:
    """linnet, Python, and every package that linnet always needs, compared with the range that it accepts."""
    own = [Finding("linnet", __version__), Finding("python", platform.python_version())]
    return own + [_package(need, install=f'pip install "{need.name}{need.specifier}"') for need in _needs(extra=None)]


def compute() -> list[Finding]:
    """Devices and threads, as torch sees them."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [
        Finding(f"cuda:{index}", torch.cuda.get_device_name(index))
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    return [
        Finding("cpu", f"{platform.machine()}, {cores} cores"),
        Finding("threads", f"{torch.get_num_threads()} (set OMP_NUM_THREADS to change it)"),
        *(gpus or [Finding("cuda", "no device; nothing needs one")]),
    ]


def extras() -> list[Finding]:
    """Each optional part of linnet: present, or the exact line to install it."""
    names = metadata.metadata("linnet").get_all("Provides-Extra") or []
    return [_extra(name) for name in names] or [Finding("none", "this release has no optional parts")]


def files() -> list[Finding]:
    """The folder of the data sets, and the detector that comes with linnet."""
    return [_data(), _weights()]


def _data() -> Finding:
    from linnet.data import data_root

    try:
        root = data_root()
    except DataError:
        return Finding("data", "none; only training and benchmarks need it: set LINNET_DATA to its folder")
    return Finding("data", f"{root}: {', '.join(sorted(folder.name for folder in root.iterdir() if folder.is_dir()))}")


def _weights() -> Finding:
    import linnet.nuclei

    try:
        content = (resources.files("linnet.nuclei") / "weights" / "default.safetensors").read_bytes()
        linnet.nuclei.load("default")
    except (OSError, LinnetError) as error:
        return Finding("detector", f"can't be used ({error}): install linnet again", good=False, needed=True)
    return Finding(
        "detector", f"{len(content) / 1e6:.2f} MB, SHA-256 {hashlib.sha256(content).hexdigest()}", needed=True
    )


def _extra(name: str) -> Finding:
    lacking = [need.name for need in _needs(extra=name) if not _package(need, install="").good]
    if not lacking:
        return Finding(name, "installed")
    return Finding(name, f'{", ".join(lacking)} missing: pip install "linnet[{name}]"', good=False)


def _needs(*, extra: str | None) -> list[Requirement]:
    needs = [Requirement(line) for line in metadata.requires("linnet") or []]
    if extra is None:
        return [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return [need for need in needs if need.marker is not None and _only_for(need, extra)]


def _only_for(need: Requirement, extra: str) -> bool:
    assert need.marker is not None
    return need.marker.evaluate({"extra": extra}) and not need.marker.evaluate({"extra": ""})


def _package(need: Requirement, *, install: str) -> Finding:
    try:
        version = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return Finding(need.name, f"missing: {install}", good=False, needed=True)
    if not need.specifier.contains(version, prereleases=True):
        return Finding(need.name, f"{version}, but {need.specifier} is needed: {install}", good=False, needed=True)
    return Finding(need.name, version, needed=True)
