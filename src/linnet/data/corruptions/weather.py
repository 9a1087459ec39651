"""Weather: snow, frost, fog and spatter."""

from __future__ import annotations

import math

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.colour import gray
from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.grid import base_sides, gaussian, streaked, to_sides, zoomed
from linnet.data.corruptions.texture import crystals, plasma

_ICE = (0.84, 0.93, 1.0)
_WATER = (175 / 255, 238 / 255, 238 / 255)  # pale turquoise
_MUD = (63 / 255, 42 / 255, 20 / 255)


def snow(
    x: Floats,
    draws: Draws,
    mean: float,
    deviation: float,
    zoom: float,
    threshold: float,
    radius: float,
    sigma: float,
    mix: float,
) -> Floats:
    """Flakes blurred downwards over a whitened image; the layer is added with its half-turn.

    Flakes are drawn on a grid whose smaller side is 32 and brought to the image's size.
    """
    height, width = base_sides(x)
    flakes = zoomed(mean + deviation * draws.normal(height, width), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0.0, flakes), 0, 1)
    angles = draws.uniform(-0.75 * math.pi, -0.25 * math.pi)
    layer = streaked(flakes[..., None], radius, sigma, angles)[..., 0]
    layer = to_sides(layer, x.shape[1], x.shape[2])[..., None]
    whitened = mix * x + (1 - mix) * np.maximum(x, 1.5 * gray(x) + 0.5)
    return whitened + layer + layer[:, ::-1, ::-1]


def frost_like(x: Floats, draws: Draws, share: float, strength: float) -> Floats:
    """share x + strength * a procedural texture of ice; photographs of frost aren't shipped, hence the name."""
    return share * x + strength * crystals(draws, x.shape[1], x.shape[2])[..., None] * _tint(_ICE, x)


def fog(x: Floats, draws: Draws, strength: float, decay: float) -> Floats:
    """(x + strength * plasma) max / (max + strength), max the brightest element of the image."""
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    foggy = x + strength * plasma(draws, x.shape[1], x.shape[2], decay)[..., None]
    return foggy * brightest / (brightest + strength)


def spatter(
    x: Floats,
    draws: Draws,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    strength: float,
    mud: bool,  # noqa: FBT001  (a constant of the table)
) -> Floats:
    """Drops of water, added with their shading, or opaque mud.

    Drops are drawn on a grid whose smaller side is 32 and brought to the image's size. The shading of water (a
    highlight towards one corner, by the distance from the drop's edge) is linnet's own.
    """
    height, width = base_sides(x)
    liquid = gaussian(mean + deviation * draws.normal(height, width), sigma)
    if mud:
        cover = gaussian((liquid > threshold).astype(np.float64), strength)
        cover = to_sides(np.where(cover < 0.8, 0.0, cover), x.shape[1], x.shape[2])[..., None]
        return x * (1 - cover) + cover * _tint(_MUD, x)
    drops = np.where(liquid < threshold, 0.0, liquid) * (0.5 + _relief(liquid >= threshold))
    highest = drops.max(axis=(1, 2), keepdims=True)
    drops = strength * drops / np.where(highest > 0, highest, 1.0)
    return x + to_sides(drops, x.shape[1], x.shape[2])[..., None] * _tint(_WATER, x)


def _relief(wet: np.ndarray) -> Floats:
    """In 0..1: how much a drop's surface leans to the upper left, from the distance to its edge."""
    from scipy.ndimage import distance_transform_edt

    depth = gaussian(np.stack([np.asarray(distance_transform_edt(one)) for one in wet]), 0.7)
    slope = np.diff(depth, axis=1, prepend=depth[:, :1]) + np.diff(depth, axis=2, prepend=depth[:, :, :1])
    return np.clip(0.5 + 0.5 * slope, 0, 1)


def _tint(colour: tuple[float, float, float], x: Floats) -> Floats:
    tint = np.array(colour)
    return tint if x.shape[3] == 3 else gray(tint[None, None, None])[0, 0, 0]
