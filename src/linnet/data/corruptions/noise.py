"""Noise: Gaussian, shot, impulse and speckle."""

from __future__ import annotations

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.draws import Draws


def gaussian_noise(x: Floats, draws: Draws, deviation: float) -> Floats:
    """x + N(0, deviation) in each element."""
    return x + deviation * draws.normal(*x.shape[1:])


def shot_noise(x: Floats, draws: Draws, photons: float) -> Floats:
    """Poisson(x c) / c, c photons for white."""
    expected = iter(x * photons)
    return draws.each(lambda generator: generator.poisson(next(expected))) / photons


def impulse_noise(x: Floats, draws: Draws, share: float) -> Floats:
    """A share of the elements set to 0 or to 1, half each."""
    drawn = draws.uniform(0, 1, *x.shape[1:])
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, x))


def speckle_noise(x: Floats, draws: Draws, deviation: float) -> Floats:
    """x + x N(0, deviation)."""
    return x + x * (deviation * draws.normal(*x.shape[1:]))
