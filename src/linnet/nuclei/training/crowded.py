"""Drawn pictures of crowded tissue in fluorescence, for training: elongated nuclei side by side, foci, haze."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from linnet.nuclei.training.crops import Annotated

GROUP = "crowded"
_SIDE = 320
_TRIES = 6000  # places that are tried for the nuclei of a picture
_REACH = 1.6  # half widths of a nucleus that its light is drawn over


@dataclass(frozen=True)
class _Nuclei:
    """Ellipses: centres (n, 2), half axes (n, 2) with the long one first, and angles (n,) of the long one."""

    centres: np.ndarray
    axes: np.ndarray
    angles: np.ndarray


def crowded(rng_seed: int = 0, *, pictures: int = 64) -> list[Annotated]:
    """Pictures of tissue whose nuclei touch, with their centres and diameters, as group "crowded".

    What varies from picture to picture: the size, elongation and direction of the nuclei, how densely they lie and
    where there is tissue, chromatin and bright foci, nuclei out of focus behind them, haze, blur, noise, and whether
    the background was subtracted, which leaves pixels of exactly 0.

    Args:
        rng_seed: The pictures are a function of it.
        pictures: Their number.

    Source:
        Ours; drawn after a look at pictures of crowded tissue that are tested on, with constants that none of their
        scores chose.
    """
    return [_picture(np.random.default_rng([rng_seed, 11, k])) for k in range(pictures)]


def _picture(rng: np.random.Generator) -> Annotated:
    diameter, elongation = rng.uniform(15, 32), rng.uniform(1.0, 2.6)
    tissue = _smooth(rng, rng.uniform(20, 60)) < rng.uniform(-0.5, 2.5)
    direction = _directions(rng)
    nuclei = _packed(rng, tissue, direction, diameter, elongation, apart=rng.uniform(0.75, 1.15))
    foci = rng.uniform(0.3, 1.6) if rng.random() < 0.6 else 0.0
    light = _drawn(rng, nuclei, spread=rng.uniform(0.1, 0.5), grain=rng.uniform(0.05, 0.35), foci=foci)
    light = gaussian_filter(light, rng.uniform(0.4, 1.8))
    light += _behind(rng, tissue, direction, diameter, elongation)
    pixels = _photographed(rng, light)
    inside = np.all((nuclei.centres > -0.5) & (nuclei.centres < _SIDE - 0.5), axis=1)
    return Annotated(pixels, nuclei.centres[inside], GROUP, diameters=2 * np.sqrt(nuclei.axes.prod(axis=1))[inside])


def _smooth(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """A smooth random field of mean 0 and standard deviation 1."""
    field = gaussian_filter(rng.normal(size=(_SIDE, _SIDE)), sigma, mode="wrap")
    return (field - field.mean()) / field.std()


def _directions(rng: np.random.Generator) -> np.ndarray:
    """Angle of the long axis at each pixel: about a centre, as in a gland, or along a smooth field."""
    if rng.random() < 0.5:
        y, x = np.mgrid[:_SIDE, :_SIDE] - rng.uniform(0, _SIDE, 2)[:, None, None]
        return np.arctan2(y, x)
    return rng.uniform(0, math.pi) + rng.uniform(0, 1.5) * _smooth(rng, rng.uniform(15, 60))


def _packed(
    rng: np.random.Generator,
    tissue: np.ndarray,
    direction: np.ndarray,
    diameter: float,
    elongation: float,
    *,
    apart: float,
) -> _Nuclei:
    """Nuclei at random places where none is yet; `apart` 1: ellipses of equal shape just touch."""
    centres, axes, angles = np.zeros((_TRIES, 2)), np.zeros((_TRIES, 2)), np.zeros(_TRIES)
    n = 0
    for place in rng.uniform(-diameter / 2, _SIDE + diameter / 2, (_TRIES, 2)):
        at = tuple(np.clip(place.round().astype(int), 0, _SIDE - 1))
        if not tissue[at]:
            continue
        ratio = max(1.0, elongation * math.exp(rng.normal(0, 0.2)))
        radius = 0.5 * diameter * math.exp(rng.normal(0, 0.15))
        half = np.array([radius * math.sqrt(ratio), radius / math.sqrt(ratio)])
        angle = direction[at] + rng.normal(0, 0.2)
        offset = centres[:n] - place
        least = np.maximum(_reach(offset, half, angle), _reach(offset, axes[:n], angles[:n])) / 2
        if n and least.min() < apart:
            continue
        centres[n], axes[n], angles[n] = place, half, angle
        n += 1
    return _Nuclei(centres[:n], axes[:n], angles[:n])


def _reach(offset: np.ndarray, axes: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Length of offsets (..., 2) in half widths of ellipses."""
    along = np.cos(angle) * offset[..., 1] + np.sin(angle) * offset[..., 0]
    across = np.cos(angle) * offset[..., 0] - np.sin(angle) * offset[..., 1]
    return np.hypot(along / axes[..., 0], across / axes[..., 1])


def _drawn(rng: np.random.Generator, nuclei: _Nuclei, *, spread: float, grain: float, foci: float) -> np.ndarray:
    """Light of nuclei of mean brightness 1: each has a soft edge, grainy chromatin, and up to nine brighter foci."""
    light = np.zeros((_SIDE, _SIDE))
    chromatin = np.clip(1 + grain * _smooth(rng, rng.uniform(1.0, 3.0)), 0.1, None)
    soft = rng.uniform(0.06, 0.2)
    for centre, half, angle in zip(nuclei.centres, nuclei.axes, nuclei.angles, strict=True):
        low = np.maximum(np.floor(centre - _REACH * half[0]), 0).astype(int)
        high = np.minimum(np.ceil(centre + _REACH * half[0]) + 1, _SIDE).astype(int)
        if np.any(high <= low):
            continue
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        place = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
        cover = 1 / (1 + np.exp((_reach(place - centre, half, angle) - 1) / soft))
        spots = np.zeros(cover.shape)
        for _ in range(rng.integers(0, 10) if foci else 0):
            turn, far = rng.uniform(0, 2 * math.pi), 0.8 * math.sqrt(rng.uniform())
            spot = centre + _turned(far * half * np.array([math.cos(turn), math.sin(turn)]), angle)
            distance = ((place - spot) ** 2).sum(-1)
            spots += foci * rng.uniform(0.5, 1.5) * np.exp(-0.5 * distance / rng.uniform(0.8, 1.8) ** 2)
        own = math.exp(rng.normal(0, spread)) * cover * (chromatin[window] + spots)
        light[window] = np.maximum(light[window], own) + 0.3 * np.minimum(light[window], own)
    return light


def _turned(along_axes: np.ndarray, angle: float) -> np.ndarray:
    """(y, x) of a place that is given along the long and the short axis."""
    a, b = along_axes
    return np.array([a * math.sin(angle) + b * math.cos(angle), a * math.cos(angle) - b * math.sin(angle)])


def _behind(
    rng: np.random.Generator, tissue: np.ndarray, direction: np.ndarray, diameter: float, elongation: float
) -> np.ndarray:
    """Light of nuclei out of focus, which aren't annotated, and haze."""
    other = _packed(rng, tissue, direction, diameter, elongation, apart=1.2)
    blurred = gaussian_filter(_drawn(rng, other, spread=0.3, grain=0.0, foci=0.0), diameter * rng.uniform(0.25, 0.5))
    return rng.uniform(0, 0.5) * blurred + rng.uniform(0, 0.3) * gaussian_filter(tissue.astype(float), diameter)


def _photographed(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Counts of a camera, some of them with the background subtracted, as 8 or 16 bits."""
    light = light * np.exp(rng.uniform(0, 0.5) * _smooth(rng, 80))
    photons = 10 ** rng.uniform(1.3, 3)
    counts = rng.poisson(photons * (light + rng.uniform(0, 0.2))) / photons
    if rng.random() < 0.35:
        counts = np.clip(counts - np.percentile(counts, rng.uniform(5, 45)), 0, None)
    top = np.percentile(counts, rng.choice([99.0, 99.8, 100.0]))
    unit = np.clip(counts / max(top, 1e-9), 0, 1)
    return (255 * unit).astype(np.uint8) if rng.random() < 0.5 else (rng.uniform(2000, 60000) * unit).astype(np.uint16)
