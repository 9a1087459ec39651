"""Synthetic fluorescence fields: nuclei with known centres, seen through a microscope and a camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt16
from scipy.ndimage import gaussian_filter

from linnet.errors import InputError

_TRIES_PER_NUCLEUS = 400
_OUTLINE_WAVES = np.arange(2, 6)  # the outline's Fourier modes; mode 1 would only shift the shape


@dataclass(frozen=True)
class Optics:
    """The microscope and camera between the nuclei and the pixel values.

    Attributes:
        photons: Expected photons of a nucleus of brightness 1, per pixel.
        background: Mean background, as a fraction of `photons`; it rises unevenly over the field.
        blur_px: Standard deviation of the point spread function in pixels.
        gain: Camera counts per photon.
        read_noise: Standard deviation of the read noise in counts.
        offset: Counts that the camera adds to every pixel.

    Source:
        Ours: round figures of a wide-field microscope with an sCMOS camera.
    """

    photons: float = 900.0
    background: float = 0.12
    blur_px: float = 1.2
    gain: float = 2.0
    read_noise: float = 8.0
    offset: float = 100.0


def fluorescence_field(
    shape: tuple[int, int],
    n: int,
    rng_seed: int = 0,
    *,
    diameter_px: tuple[float, float] = (12.0, 24.0),
    touching: float = 0.25,
    optics: Optics | None = None,
) -> tuple[UInt16[np.ndarray, "h w"], Float64[np.ndarray, "n 2"]]:
    """A field of fluorescent nuclei and their true centres.

    Nuclei are elongated, slightly irregular discs with a log-normal brightness and chromatin-like texture. A part of
    them touches another one. The light is blurred and stands on an uneven background; the camera adds Poisson noise,
    read noise and an offset: counts = offset + gain Poisson(photons) + N(0, read_noise^2).

    Args:
        shape: (height, width) in pixels.
        n: Number of nuclei. Their centres lie inside the field; those at the border are cut by it.
        rng_seed: Seed; the same arguments give the same field.
        diameter_px: Range of the mean diameters.
        touching: Fraction of the nuclei that are set against another nucleus, 0..1.
        optics: The microscope and camera; None is `Optics()`.

    Returns:
        (image, points): the image and the centroid (y, x) of the visible part of each nucleus, sorted by (y, x).

    Raises:
        InputError: a size or fraction is out of its range, or n nuclei of this size don't fit.

    Example:
        >>> image, points = fluorescence_field((128, 128), 10)
        >>> image.shape, image.dtype.name, len(points)
        ((128, 128), 'uint16', 10)
    """
    _check(shape, n, diameter_px, touching)
    optics, rng = optics or Optics(), np.random.default_rng(rng_seed)
    radii = rng.uniform(*diameter_px, size=n) / 2
    centres = _place(shape, radii, round(touching * n), rng)
    light, points = np.zeros(shape), np.empty((n, 2))
    for k in range(n):
        points[k] = _draw(light, centres[k], radii[k], rng)
    image = _expose(light + optics.background * _illumination(shape, rng), optics, rng)
    return image, points[np.lexsort((points[:, 1], points[:, 0]))]


def _check(shape: tuple[int, int], n: int, diameter_px: tuple[float, float], touching: float) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"`shape` must be (height, width) in pixels, both >= 1 (got {shape}).")
    if n < 0:
        raise InputError(f"`n` must be a number of nuclei >= 0 (got {n}).")
    if not 2 <= diameter_px[0] <= diameter_px[1]:
        raise InputError(f"`diameter_px` must be (smallest, largest) in pixels, both >= 2 (got {diameter_px}).")
    if not 0 <= touching <= 1:
        raise InputError(f"`touching` must be a fraction from 0 to 1 (got {touching}).")


def _place(shape: tuple[int, int], radii: np.ndarray, touching: int, rng: np.random.Generator) -> np.ndarray:
    """Centres one after the other: the last `touching` of them each against a nucleus already there."""
    centres = np.empty((len(radii), 2))
    for k, radius in enumerate(radii):
        against = k > 0 and k >= len(radii) - touching
        for _ in range(_TRIES_PER_NUCLEUS):
            spot = _beside(centres[:k], radii[:k], radius, rng) if against else rng.uniform((0, 0), shape) - 0.5
            distance = np.hypot(*(centres[:k] - spot).T)
            inside = np.all((spot >= 0) & (spot <= np.subtract(shape, 1)))
            # Touching nuclei may overlap by a tenth; free ones keep a gap of a quarter.
            if inside and np.all(distance >= (0.9 if against else 1.25) * (radii[:k] + radius)):
                centres[k] = spot
                break
        else:
            raise InputError(
                f"{shape[0]} x {shape[1]} pixels are too few for {len(radii)} nuclei: {k} found a place. Ask for "
                "fewer or smaller ones, or for a larger field."
            )
    return centres


def _beside(centres: np.ndarray, radii: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    host, angle = rng.integers(len(centres)), rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.9, 1.0) * (radii[host] + radius)
    return centres[host] + reach * np.array([np.sin(angle), np.cos(angle)])


def _draw(light: np.ndarray, centre: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Adds one nucleus to the light; gives the centroid of its visible part."""
    reach = int(np.ceil(1.8 * radius)) + 2
    low = np.maximum(np.floor(centre).astype(int) - reach, 0)
    high = np.minimum(np.floor(centre).astype(int) + reach + 1, light.shape)
    y, x = np.mgrid[low[0] : high[0], low[1] : high[1]].astype(float)
    mask = _soft_shape(y - centre[0], x - centre[1], radius, rng)
    texture = 1 + 0.5 * _texture(mask.shape, radius / 4, rng)
    light[low[0] : high[0], low[1] : high[1]] += rng.lognormal(0, 0.35) * np.clip(texture, 0.2, None) * mask
    return np.array([(mask * y).sum(), (mask * x).sum()]) / mask.sum()


def _soft_shape(dy: np.ndarray, dx: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """1 inside, 0 outside, a ramp of one pixel at the outline r(t) = radius e(t) (1 + sum_k a_k cos(k t + p_k))."""
    turn, aspect = rng.uniform(0, np.pi), rng.uniform(1.0, 1.4)
    u, v = np.cos(turn) * dy + np.sin(turn) * dx, np.cos(turn) * dx - np.sin(turn) * dy
    u, v = u * np.sqrt(aspect), v / np.sqrt(aspect)  # an ellipse of the disc's area
    angle = np.arctan2(u, v)
    height, phase = rng.normal(0, 0.03, len(_OUTLINE_WAVES)), rng.uniform(0, 2 * np.pi, len(_OUTLINE_WAVES))
    outline = radius * (
        1 + sum(a * np.cos(k * angle + p) for a, k, p in zip(height, _OUTLINE_WAVES, phase, strict=True))
    )
    return np.clip(outline - np.hypot(u, v) + 0.5, 0, 1)


def _texture(shape: tuple[int, ...], grain_px: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of mean about 0 and standard deviation about 1/2."""
    noise = gaussian_filter(rng.standard_normal(shape), grain_px)
    return 0.5 * noise / max(float(noise.std()), 1e-12)


def _illumination(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Positive and slowly varying: a plane and a broad hill, of mean about 1."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    slope, hill = rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.6, 0.6, 2)
    return 0.75 + slope[0] * y + slope[1] * x + 0.6 * np.exp(-((y - hill[0]) ** 2 + (x - hill[1]) ** 2) / 0.5)


def _expose(light: np.ndarray, optics: Optics, rng: np.random.Generator) -> np.ndarray:
    photons = optics.photons * np.clip(gaussian_filter(light, optics.blur_px, mode="nearest"), 0, None)
    counts = optics.offset + optics.gain * rng.poisson(photons) + rng.normal(0, optics.read_noise, light.shape)
    return np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16)
