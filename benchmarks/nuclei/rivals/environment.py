"""An environment for each library that is trained beside linnet, made when it is first needed."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import ROOT

WHERE = "LINNET_RIVALS"
"""Names another folder than the repository's for the environments, which take 2 GB each."""


@dataclass(frozen=True)
class Environment:
    """What a library needs.

    Attributes:
        name: Of the library.
        packages: What pip installs.
    """

    name: str
    packages: Sequence[str]

    @property
    def python(self) -> Path:
        """Its interpreter, whether it's there or not."""
        return Path(os.environ.get(WHERE, ROOT)) / f".venv-{self.name}" / "bin" / "python"


# The torch of this process, so that a build for the CPU is taken where pip finds one.
_TORCH = f"torch=={torch.__version__.split('+')[0]}"
ENVIRONMENTS: Mapping[str, Environment] = {
    "stardist": Environment("stardist", ("stardist==0.9.2", "tensorflow-cpu==2.21.0")),
    "spotiflow": Environment("spotiflow", ("spotiflow==0.6.5", _TORCH)),
    "cellpose": Environment("cellpose", ("cellpose==3.1.1.2", "pillow", _TORCH)),  # 4 has one network, for all cells
}


def interpreter(name: str) -> Path | str:
    """The Python in which a library can be imported; its environment is made first where it isn't there.

    Args:
        name: "linnet", which has this one, or a library of ENVIRONMENTS.

    Raises:
        RuntimeError: the library can't be installed here; the message is pip's last line.
    """
    if name == "linnet":
        return sys.executable
    environment = ENVIRONMENTS[name]
    done = environment.python.parent.parent / "installed"
    if not done.exists():
        venv.create(environment.python.parent.parent, with_pip=True)
        _pip(environment, *environment.packages)
        done.write_text("\n".join(environment.packages), encoding="utf-8")
    return environment.python


def _pip(environment: Environment, *packages: str) -> None:
    words = [str(environment.python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *packages]
    outcome = subprocess.run(words, capture_output=True, text=True)
    if outcome.returncode:
        lines = (outcome.stderr or outcome.stdout or "pip said nothing").strip().splitlines()
        raise RuntimeError(f"{environment.name} can't be installed ({lines[-1]})")
