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
        core as core,
        data as data,
        engine as engine,
        ensemble as ensemble,
        errors as errors,
        jet as jet,
        models as models,
        nuclei as nuclei,
        optim as optim,
        prune as prune,
        recipe as recipe,
        report as report,
        results as results,
        spectra as spectra,
    )
    from linnet.core import Capture as Capture, ChannelGraph as ChannelGraph, cost as cost, resize as resize
    from linnet.engine import load as load, save as save
    from linnet.errors import LinnetError as LinnetError

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__, "__version__")
