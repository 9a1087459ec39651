"""Pictures without a nucleus, for training: blank fields, white glass, photographs and textures that are installed."""

from __future__ import annotations

import io
from importlib.resources import files

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from linnet.nuclei.training.crops import Annotated

GROUP = "negatives"
# Shipped with scikit-image and matplotlib. Pictures of things that look like nuclei (coins, stars, cells) are left out,
# and so are those that the tests of foreign pictures use (coffee, gravel, page, moon, motorcycle).
_PHOTOGRAPHS = (
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "brick.png"),
    ("skimage.data", "camera.png"),
    ("skimage.data", "chelsea.png"),
    ("skimage.data", "grass.png"),
    ("skimage.data", "rocket.jpg"),
    ("skimage.data", "text.png"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
_SIDE = 320


def negatives(rng_seed: int = 0, *, blank: int = 24, glass: int = 12) -> list[Annotated]:
    """Pictures on which every detection is false, as group "negatives"; a function of the seed.

    Args:
        rng_seed: Seed of the drawn pictures.
        blank: Empty fields of a camera: noise of several grains on even or uneven light.
        glass: White glass as a colour camera saves it, most of them as JPEG.
    """
    rng = np.random.default_rng([rng_seed, 7])
    pictures = [_blank_field(rng) for _ in range(blank)] + [_white_glass(rng) for _ in range(glass)]
    return [Annotated(pixels, np.zeros((0, 2)), GROUP) for pixels in [*pictures, *_photographs()]]


def _blank_field(rng: np.random.Generator) -> np.ndarray:
    """Photons and read noise of an empty field, seen sharp or blurred, on a plane of light."""
    level = 10 ** rng.uniform(0.5, 2.5)
    y, x = np.meshgrid(np.linspace(-1, 1, _SIDE), np.linspace(-1, 1, _SIDE), indexing="ij")
    slope = rng.uniform(-0.15, 0.15, 2) * (rng.random() < 0.5)
    field = rng.poisson(level * (1 + slope[0] * y + slope[1] * x)) + rng.normal(0, 3, y.shape)
    if rng.random() < 0.5:
        field = gaussian_filter(field, rng.uniform(0.5, 2.5))
    return (100 + 4 * field).clip(0, 65535).astype(np.uint16)


def _white_glass(rng: np.random.Generator) -> np.ndarray:
    tone = rng.uniform(215, 250) - rng.uniform(0, 12, 3)
    noise = rng.normal(0, rng.uniform(1, 4), (_SIDE, _SIDE, 1 if rng.random() < 0.5 else 3))
    pixels = np.clip(tone + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        return pixels
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=int(rng.integers(50, 95)))
    with Image.open(content) as stored:
        return np.asarray(stored)


def _photographs() -> list[np.ndarray]:
    found = []
    for package, name in _PHOTOGRAPHS:
        with (files(package) / name).open("rb") as file, Image.open(file) as picture:
            found.append(np.asarray(picture.convert("L" if picture.mode in ("L", "1", "P") else "RGB")))
    return found
