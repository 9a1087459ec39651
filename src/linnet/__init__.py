"""linnet takes a vision network through its whole life: trains it fast, makes it small, and counts nuclei with it.

Public names, by what they do for you. Each is loaded when it is first used, so that `import linnet` costs nothing:

    at work       nuclei                 find, count and score nuclei in microscopy images; train detectors
    train         recipe, engine         one TOML file becomes one run folder; the one training loop behind it
    material      data, models           data sets, loaders, augmentation, synthetic images; plain networks by name
    facts         results, report        what was measured, and one page that shows it
    fast          optim                  natural gradient that knows its own step size; Padam
    shared        core, Capture          one pair of tensors per layer, which all methods read
    understood    spectra                the neural tangent kernel, layer by layer
    wide, narrow  ChannelGraph, resize   which channels live and die together; copies and removals with a proof
    small         prune                  pruned straight to a budget of MACs, parameters or bytes
    keep          save, load, cost       one file that tells its edits; parameters, MACs, bytes and peak memory
    trouble       errors, LinnetError    every exception that is raised on purpose
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linnet import core, data, engine, errors, models, nuclei, optim, prune, recipe, report, results, spectra
    from linnet.core import Capture, ChannelGraph, cost, resize
    from linnet.engine import load, save
    from linnet.errors import LinnetError

__version__ = "0.1.0"

__all__ = [
    "Capture",
    "ChannelGraph",
    "LinnetError",
    "__version__",
    "core",
    "cost",
    "data",
    "engine",
    "errors",
    "load",
    "models",
    "nuclei",
    "optim",
    "prune",
    "recipe",
    "report",
    "resize",
    "results",
    "save",
    "spectra",
]

_HOMES = {
    "Capture": "linnet.core",
    "ChannelGraph": "linnet.core",
    "LinnetError": "linnet.errors",
    "cost": "linnet.core",
    "load": "linnet.engine",
    "resize": "linnet.core",
    "save": "linnet.engine",
}  # names that live inside a folder; every other name is a folder of its own


def __getattr__(name: str) -> Any:
    """The public name, imported when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module `linnet` has no attribute `{name}`. Its public names: {', '.join(__all__)}.")
    if name in _HOMES:
        value: Any = getattr(import_module(_HOMES[name]), name)
    else:
        value = import_module(f"linnet.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, so that completion shows them before they are loaded."""
    return sorted(__all__)
