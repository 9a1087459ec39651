"""Programs that come with linnet, by name."""

from __future__ import annotations

from importlib.resources import as_file, files

from linnet.jet.program import Program
from linnet.suggest import one_of

NAMES = ("fashion",)
"""`fashion`: Fashion-MNIST in two jet layers of 8 and 16 channels, made by `examples/train_jet.py`."""


def shipped(name: str) -> Program:
    """The program of a name.

    Raises:
        InputError: there is none; the known names are listed.
    """
    one_of("name", name, NAMES)
    with as_file(files("linnet.jet.shipped") / f"{name}.safetensors") as path:
        return Program.load(path)
