"""corrupt: one corruption of the generated suite on a batch of images."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions import blur, colour, digital, jpeg, noise, weather
from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.layout import read
from linnet.data.corruptions.suites import COLOUR_ONLY, SUITES
from linnet.errors import InputError
from linnet.suggest import one_of

Corruption = Callable[..., Floats]
Constants = Sequence[tuple[Any, ...]]

# Constants of severities 1 .. 5 for images of 32 x 32 pixels, from the code that Hendrycks & Dietterich published for
# CIFAR; the parts where linnet differs stand in each function and in docs/corruptions.md.
TABLE: Mapping[str, tuple[Corruption, Constants]] = {
    "gaussian_noise": (noise.gaussian_noise, ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,))),
    "shot_noise": (noise.shot_noise, ((500,), (250,), (100,), (75,), (50,))),
    "impulse_noise": (noise.impulse_noise, ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,))),
    "defocus_blur": (blur.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": (blur.glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))),
    "motion_blur": (blur.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": (blur.zoom_blur, ((7,), (12,), (16,), (21,), (26,))),
    "snow": (
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost_like": (weather.frost_like, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": (weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (colour.brightness, ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,))),
    "contrast": (colour.contrast, ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,))),
    "elastic_transform": (
        digital.elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": (digital.pixelate, ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,))),
    "jpeg_compression": (jpeg.jpeg_compression, ((80,), (65,), (58,), (50,), (40,))),
    "speckle_noise": (noise.speckle_noise, ((0.06,), (0.1,), (0.12,), (0.16,), (0.2,))),
    "gaussian_blur": (blur.gaussian_blur, ((0.4,), (0.6,), (0.7,), (0.8,), (1,))),
    "spatter": (
        weather.spatter,
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, False),
            (0.65, 0.1, 0.8, 0.7, 0.5, False),
            (0.65, 0.3, 1, 0.69, 0.5, False),
            (0.65, 0.1, 0.7, 0.69, 0.6, True),
            (0.65, 0.1, 0.5, 0.68, 0.6, True),
        ),
    ),
    "saturate": (colour.saturate, ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))),
}

# Elements of a piece: its arrays of doubles stay in the cache of one core (0.5 MB each).
_PIECE = 2**16


def corrupt(images: Any, name: str, severity: int, rng_seed: int = 0) -> Any:
    """Images under one corruption of the generated suite.

    What an image becomes depends on the image, the name, the severity and the seed only: neither on the other images of
    the batch nor on their order, and a float image gets the draws of the bytes that it rounds to.

    Args:
        images: uint8 (N, H, W, C), or floating point (N, C, H, W) in [0, 1]; a tensor or an array. C is 1 or 3, and
            both sides have at least 8 pixels.
        name: One of `corruption_names()`.
        severity: 1 (mild) .. 5 (strong).
        rng_seed: A whole number; another one gives other draws.

    Returns:
        New images of the same type, layout, dtype and device. Floats are clipped to [0, 1]; bytes are rounded, half to
        even.

    Raises:
        InputError: name, severity, seed, type, shape, channels or values don't fit.

    Source:
        Hendrycks & Dietterich 2019 (names, constants for CIFAR). Computed here with other libraries and other random
        numbers: the generated suite is not the published set of arrays, and scores on the two can't be compared.

    Example:
        >>> import numpy as np
        >>> from linnet.data import corrupt
        >>> gray = np.full((1, 8, 8, 1), 100, dtype=np.uint8)
        >>> int(corrupt(gray, "brightness", 5)[0, 0, 0, 0])  # 100 + 0.3 * 255 = 176.5, rounded half to even
        176
    """
    one_of("name", name, SUITES["all19"])
    grade, seed = _severity(severity), _whole_seed(rng_seed)
    layout = read(images)
    if name in COLOUR_ONLY and layout.array.shape[3] == 1:
        raise InputError(
            f"`name` must be a corruption that gray images have (got {name!r} for 1 channel). Leave it out: "
            "corruption_names(channels=1)."
        )
    function, constants = TABLE[name]
    found, pixels = np.empty(layout.array.shape), layout.floats
    bytes_ = layout.bytes
    size = max(_PIECE // max(int(np.prod(pixels.shape[1:])), 1), 1)
    for start in range(0, len(pixels), size):
        piece = slice(start, start + size)
        draws = Draws(bytes_[piece], name, grade, seed)
        found[piece] = function(pixels[piece], draws, *constants[grade - 1])
    return layout.restored(found)


def _severity(severity: object) -> int:
    try:
        grade = operator.index(severity)  # type: ignore[arg-type]
    except TypeError:
        grade = 0
    if isinstance(severity, bool) or not 1 <= grade <= 5:
        raise InputError(
            f"`severity` must be a whole number from 1 to 5 (got {severity!r}). Give 1 for mild or 5 for strong."
        )
    return grade


def _whole_seed(rng_seed: object) -> int:
    try:
        seed = None if isinstance(rng_seed, bool) else operator.index(rng_seed)  # type: ignore[arg-type]
    except TypeError:
        seed = None
    if seed is None:
        raise InputError(
            f"`rng_seed` must be a whole number (got {rng_seed!r}). Give 0, or another number for other draws."
        )
    return seed
