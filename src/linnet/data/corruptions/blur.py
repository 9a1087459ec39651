"""Blurs: Gaussian, defocus, frosted glass, motion and zoom."""

from __future__ import annotations

import math

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.grid import correlate, gaussian, scale_of, streaked, zoomed


def gaussian_blur(x: Floats, _draws: Draws, sigma: float) -> Floats:
    """Gaussian of `sigma` pixels, the border pixel repeated, cut at 4 sigma."""
    return gaussian(x, sigma * scale_of(x))


def defocus_blur(x: Floats, _draws: Draws, radius: float, alias_sigma: float) -> Floats:
    """A disk of `radius` pixels, smoothed by a Gaussian over 3 x 3 pixels; mirrored at the border.

    For images smaller than 32 pixels the kernel itself is shrunk by area, as a smaller disk has no pixel but the
    centre.
    """
    scale = scale_of(x)
    if scale < 1:
        return correlate(x, shrunk(disk(radius, alias_sigma, smooth=1), scale))
    return correlate(x, disk(radius * scale, alias_sigma * scale, smooth=math.ceil(scale)))


def disk(radius: float, alias_sigma: float, *, smooth: int) -> Floats:
    """The kernel of a defocused lens: pixels within `radius`, then a Gaussian over 2 smooth + 1 pixels; sum 1."""
    reach = math.floor(radius) + smooth
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = (y**2 + x**2 <= radius**2).astype(np.float64)
    steps = np.arange(-smooth, smooth + 1)
    taps = np.exp(-(steps**2) / (2 * alias_sigma**2))
    taps /= taps.sum()
    for axis in (0, 1):
        inside = np.apply_along_axis(lambda line: np.convolve(line, taps, "same"), axis, inside)
    return inside / inside.sum()


def shrunk(kernel: Floats, scale: float) -> Floats:
    """A kernel whose taps become squares of scale x scale pixels, shared out among the pixels that they overlap."""
    reach = kernel.shape[0] // 2
    places = np.arange(-reach, reach + 1)
    upper = np.minimum((places + 0.5) * scale, places[:, None] + 0.5)
    lower = np.maximum((places - 0.5) * scale, places[:, None] - 0.5)
    overlap = np.maximum(upper - lower, 0) / scale  # [pixel, tap]; each tap's shares sum to 1
    return overlap @ kernel @ overlap.T


def glass_blur(x: Floats, draws: Draws, sigma: float, reach: int, rounds: int) -> Floats:
    """Blur, then pixels exchanged with near ones from the last to the first, then blur.

    In each round pixel (y, x) takes the value at an offset from {-reach .. reach - 1}^2. The published code exchanges
    two views of one array, which copies instead of exchanging; this copies too.
    """
    scale = scale_of(x)
    reach = max(round(reach * scale), 1)
    shape = (rounds, *x.shape[1:3], 2)
    offsets = draws.each(lambda generator: generator.integers(-reach, reach, shape)).astype(np.int64)
    x = gaussian(x, sigma * scale)
    for number in range(rounds):
        x = _taken(x, offsets[:, number], reach)
    return gaussian(x, sigma * scale)


def _taken(x: Floats, offsets: np.ndarray, reach: int) -> Floats:
    """One round, in which a pixel sees the new values of those that come after it and the old ones of the others.

    Each pixel points to its source; where the source was done earlier in the round, its own source counts. The chains
    are followed for all pixels at once, by doubling.
    """
    images, height, width, channels = x.shape
    own = np.arange(height * width).reshape(height, width)
    source = np.broadcast_to(own, (images, height, width)).copy()
    inner = (slice(None), slice(reach + 1, height - reach + 1), slice(reach + 1, width - reach + 1))
    source[inner] += offsets[inner][..., 0] * width + offsets[inner][..., 1]
    moved = np.zeros((height, width), dtype=bool)
    moved[inner[1:]] = True
    pointer = source.reshape(images, -1)
    # A source that comes later in memory was done before, if it is one that moves at all.
    open_ended = moved.reshape(-1)[pointer] & (pointer > own.reshape(-1))
    while open_ended.any():
        pointer, open_ended = (
            np.where(open_ended, np.take_along_axis(pointer, pointer, axis=1), pointer),
            open_ended & np.take_along_axis(open_ended, pointer, axis=1),
        )
    flat = x.reshape(images, height * width, channels)
    return np.take_along_axis(flat, pointer[..., None], axis=1).reshape(x.shape)


def motion_blur(x: Floats, draws: Draws, radius: float, sigma: float) -> Floats:
    """A one-sided Gaussian along a line at an angle uniform in +-45 degrees."""
    scale = scale_of(x)
    return streaked(x, radius * scale, sigma * scale, draws.uniform(-math.pi / 4, math.pi / 4))


def zoom_blur(x: Floats, _draws: Draws, zooms: int) -> Floats:
    """Mean of the image and its centre zooms 1, 1.01, 1.02, ...: `zooms` of them."""
    total = 2 * x  # the image itself and the zoom by 1
    for number in range(1, zooms):
        total = total + zoomed(x, 1 + number / 100)
    return total / (zooms + 1)
