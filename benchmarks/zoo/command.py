"""`python -m benchmarks zoo --timm --torchvision --smp --monai --json FILE`: the table of public networks.

Networks whose records are in FILE already aren't measured again, so that a run may be stopped and go on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.zoo.measure import Late, measured, reference
from benchmarks.zoo.networks import LIBRARIES, Network, networks
from linnet.errors import MissingExtra
from linnet.results import Record, read_records, write_records

LONG_S = 3.0  # a graph should be there sooner
PACKAGES = {"timm": "timm", "torchvision": "torchvision", "smp": "segmentation-models-pytorch", "monai": "monai"}


def run(
    libraries: Sequence[str], json: Path | None, *, minutes: float | None = None, again: bool = False
) -> list[Record]:
    """Measures the networks of some libraries that have no record yet.

    Args:
        libraries: Some of `LIBRARIES`.
        json: Where records are read and kept after each network.
        minutes: Stops after so long; the next run goes on.
        again: Measures those once more that linnet didn't do right, or whose graph took long.

    Raises:
        MissingExtra: a library isn't installed.
    """
    known = list(read_records(json)) if json is not None and json.exists() else []
    if again:
        known = [record for record in known if not _unsettled(record)]
    done = {(record.context["library"], record.context["network"]) for record in known}
    end = None if minutes is None else time.monotonic() + 60 * minutes
    torch.set_num_threads(1)
    for library in libraries:
        try:
            asked = list(networks(library))
        except ImportError as error:
            raise MissingExtra(f"`--{library}` needs {PACKAGES[library]}: pip install {PACKAGES[library]}") from error
        for network in asked:
            if (library, network.name) in done:
                continue
            if end is not None and time.monotonic() > end:
                return known
            record = _record(network)
            known.append(record)
            seconds = "" if record.value is None else f"{record.value:.2f} s"
            print(f"{library:<12} {network.name:<32} {record.context['verdict']:<13} {seconds}", flush=True)
            if json is not None:
                json.parent.mkdir(parents=True, exist_ok=True)
                write_records(json, known)
    return known


def _unsettled(record: Record) -> bool:
    slow = record.value is None or record.value > LONG_S
    return slow or record.context["verdict"] not in ("right", "nothing free")


def _record(network: Network) -> Record:
    try:
        found: dict[str, Any] = measured(network)
    except Late as error:
        found = {"verdict": "refused", "words": str(error), "seconds": float("nan")}
    except Exception as error:  # the network itself can't be made or run
        found = {"verdict": "not run", "words": f"{type(error).__name__}: {error}"[:200], "seconds": float("nan")}
    try:
        found["torch-pruning"] = reference(network)
    except Exception as error:  # likewise, or a limit that was met between its steps
        found["torch-pruning"] = f"{type(error).__name__}: {error}"[:120]
    seconds = found.pop("seconds", float("nan"))
    value = seconds if seconds == seconds else None
    context = {"library": network.library, "network": network.name, "version": _version(PACKAGES[network.library])}
    context |= {
        "input": "x".join(map(str, network.shape[1:])),
        "torch-pruning version": _version("torch-pruning"),
        **found,
    }
    return Record.measured("zoo.graph", value, unit="s", context=context)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


__all__ = ["LIBRARIES", "run"]
