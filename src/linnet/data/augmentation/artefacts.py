"""Faults of pictures: colour maps, uneven light, dust, hot pixels, JPEG, and a tile stretched to its own range."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

_FEWEST_LEVELS = 1e-6  # a tile with less contrast keeps its brightness
_DARK = 0.4  # median up to which a gray picture has a dark ground


@dataclass(frozen=True)
class Artefacts:
    """How often a normalised picture (0 = dark end, 1 = bright end) is spoilt in each way; the draws are independent.

    Attributes:
        tint: Probability that a gray picture gets one hue.
        colour_map: Probability that a gray picture is shown through a colour map.
        light: Probability of uneven illumination.
        light_range: Largest relative change of brightness across the picture.
        subtracted: Probability that a gray picture on dark ground loses its background, so that much of it is 0.
        dust: Probability of one to three blurred bright specks.
        hot: Probability of hot pixels, up to `hot_pixels` of them.
        hot_pixels: Largest number of hot pixels.
        jpeg: Probability of JPEG compression, quality 30 to 95.
        own_range: Probability that the picture is stretched to its own percentiles, as a tile that was cut out is.
        ceiling: Brightness of dust and hot pixels.

    Source:
        Ours; the probabilities were not tuned on any test image.
    """

    tint: float = 0.04
    colour_map: float = 0.04
    light: float = 0.15
    light_range: float = 0.4
    subtracted: float = 0.06
    dust: float = 0.03
    hot: float = 0.05
    hot_pixels: int = 60
    jpeg: float = 0.12
    own_range: float = 0.12
    ceiling: float = 1.5

    def before(self, picture: Float[Tensor, "3 h w"], rng: np.random.Generator) -> Float[Tensor, "3 h w"]:
        """What happens before the camera: colour maps, light and dust."""
        gray = bool((picture.amax(0) - picture.amin(0)).amax() <= _FEWEST_LEVELS)
        if rng.random() < self.light:
            picture = picture * _slope(picture, rng, self.light_range)
        if rng.random() < self.dust:
            picture = _with_dust(picture, rng, self.ceiling)
        if rng.random() < self.own_range:
            picture = _stretched(picture)
        if gray and rng.random() < self.subtracted:
            picture = _subtracted(picture, rng)
        if gray and rng.random() < self.tint:
            picture = picture * torch.from_numpy(_hue(rng))[:, None, None]
        elif gray and rng.random() < self.colour_map:
            picture = _mapped(picture, rng)
        return picture

    def after(self, picture: Float[Tensor, "3 h w"], rng: np.random.Generator) -> Float[Tensor, "3 h w"]:
        """What happens in the camera and the file: hot pixels and JPEG."""
        if rng.random() < self.hot:
            picture = picture.clone()
            h, w = picture.shape[1:]
            n = int(rng.integers(1, self.hot_pixels + 1))
            picture[:, rng.integers(0, h, n), rng.integers(0, w, n)] = self.ceiling
        if rng.random() < self.jpeg:
            picture = _through_jpeg(picture, int(rng.integers(30, 96)))
        return picture


def _slope(picture: Tensor, rng: np.random.Generator, reach: float) -> Tensor:
    """A plane of mean 1 in a random direction."""
    h, w = picture.shape[1:]
    angle, size = rng.uniform(0, 2 * math.pi), rng.uniform(0, reach)
    y, x = torch.linspace(-1, 1, h)[:, None], torch.linspace(-1, 1, w)[None]
    return 1 + size * (math.sin(angle) * y + math.cos(angle) * x)


def _with_dust(picture: Tensor, rng: np.random.Generator, ceiling: float) -> Tensor:
    h, w = picture.shape[1:]
    y, x = torch.arange(h)[:, None].float(), torch.arange(w)[None].float()
    for _ in range(int(rng.integers(1, 4))):
        radius, soft = rng.uniform(2, 20), rng.uniform(0.5, 3)
        distance = torch.hypot(y - rng.uniform(0, h), x - rng.uniform(0, w))
        cover = torch.sigmoid((radius - distance) / soft)
        picture = picture * (1 - cover) + ceiling * cover
    return picture


def _stretched(picture: Tensor) -> Tensor:
    low, high = np.percentile(picture.numpy(), [1, 99.8])
    return picture if high - low <= _FEWEST_LEVELS else (picture - float(low)) / float(high - low)


def _subtracted(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """What is left above a background that 10 to 60 % of the pixels don't exceed; a bright ground stays as it is."""
    values = picture.clamp(0, 1)
    if float(values.median()) > _DARK:
        return picture
    level, top = np.percentile(values.numpy(), [rng.uniform(10, 60), 99.8])
    return (values - float(level)).clamp(min=0) / max(float(top - level), _FEWEST_LEVELS)


def _hue(rng: np.random.Generator) -> np.ndarray:
    """Weights of red, green and blue; the strongest is 1."""
    weights = rng.uniform(0, 1, 3) * (rng.random(3) < 0.6)
    weights[rng.integers(3)] = 1.0
    return weights.astype(np.float32)


def _mapped(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """Through a map from dark to bright whose channels rise one after the other, in random order."""
    knots = np.linspace(0, 1, 5)
    value = picture[0].clamp(0, 1).numpy()
    starts = rng.permutation([0.0, rng.uniform(0, 0.5), rng.uniform(0.2, 0.7)])
    ends = [min(1.0, start + rng.uniform(0.3, 0.8)) for start in starts]
    channels = [
        np.interp(value, knots, np.clip((knots - a) / (b - a), 0, 1)) for a, b in zip(starts, ends, strict=True)
    ]
    return torch.from_numpy(np.stack(channels).astype(np.float32))


def _through_jpeg(picture: Tensor, quality: int) -> Tensor:
    """Compressed with the range -0.25 to 1.5 as 0 to 255, and read again."""
    levels = ((picture + 0.25) / 1.75).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "JPEG", quality=quality)
    with Image.open(content) as stored:
        again = np.array(stored, dtype=np.float32)
    return torch.from_numpy(again).permute(2, 0, 1) / 255 * 1.75 - 0.25
