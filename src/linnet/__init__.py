"""linnet takes a vision network through its whole life: trains it fast, makes it sure and small, counts nuclei with it.

Public names, by what they do for you. Each is loaded when it is first used, so that `import linnet` costs nothing:

    at work       nuclei                 find, count and score nuclei in microscopy images; train detectors
    train         recipe, engine         one TOML file becomes one run folder; the one training loop behind it
    material      data, models           data sets, loaders, augmentation, synthetic images; plain networks by name
    facts         results, report        what was measured, and one page that shows it
    fast          optim                  natural gradient that knows its own step size; Padam
    shared        core, Capture          one pair of tensors per layer, which all methods read
    understood    spectra                Fisher spectra, kernels and metrics beside their theory; the safe step
    wide, narrow  ChannelGraph, resize   which channels live and die together; copies and removals with a proof
    sure          ensemble               one trained network becomes an ensemble that knows what it doesn't know
    small         prune                  pruned straight to a budget of MACs, parameters or bytes
    tiny          jet                    binarized and jet layers, and the exact integer program that they become
    keep          save, load, cost       one file that tells its edits; parameters, MACs, bytes and peak memory
    trouble       errors, LinnetError    every exception that is raised on purpose
"""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet import (
        core,
        data,
        engine,
        ensemble,
        errors,
        jet,
        models,
        nuclei,
        optim,
        prune,
        recipe,
        report,
        results,
        spectra,
    )
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
    "ensemble",
    "errors",
    "jet",
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

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {"core": "Capture ChannelGraph cost resize", "engine": "load save", "errors": "LinnetError"},
)
