"""Changes of brightness, stain, focus and noise on batches of normalised images (0 = dark end, 1 = bright end)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Photometric:
    """How strongly each image of a batch is changed; every choice is drawn for each image on its own.

    Attributes:
        gain: Log-range of the contrast factor.
        shift: Range of the added brightness.
        gamma: Log-range of the exponent.
        stain: Standard deviation of the entries added to the 3x3 colour matrix, for images with colour.
        gray: Probability that a colour image is turned to gray.
        invert: Probability that bright and dark change places.
        blur: Probability of a Gaussian blur of up to `blur_px`.
        blur_px: Largest standard deviation of the blur in pixels.
        noise: Probability of white noise.
        noise_sd: Largest standard deviation of the noise.

    Source:
        Ours; the ranges were not tuned on any test image.
    """

    gain: float = 0.35
    shift: float = 0.08
    gamma: float = 0.5
    stain: float = 0.1
    gray: float = 0.05
    invert: float = 0.02
    blur: float = 0.3
    blur_px: float = 1.5
    noise: float = 0.4
    noise_sd: float = 0.08

    def __call__(self, images: Float[Tensor, "b 3 h w"], generator: torch.Generator) -> Float[Tensor, "b 3 h w"]:
        """The changed batch; a pure function of the batch and the generator's state."""
        draw = _Draws(len(images), generator)
        images = _stain(images, draw, sd=self.stain, gray=self.gray)
        images = images.clamp(min=0) ** draw.log_uniform(self.gamma)
        images = images * draw.log_uniform(self.gain) + draw.uniform(-self.shift, self.shift)
        images = torch.where(draw.chance(self.invert), 1 - images, images)
        sigma = draw.uniform(0.3, self.blur_px)
        blurred = draw.chance(self.blur)
        if blurred.any():
            images = torch.where(blurred, gaussian_blur(images, sigma.flatten()), images)
        sd = torch.where(draw.chance(self.noise), self.noise_sd * draw.uniform(0, 1) ** 2, torch.zeros(()))
        noise = torch.randn(images[:, :1].shape, generator=generator).expand_as(images)
        return images + sd * noise


class _Draws:
    """One random number per image, shaped to broadcast over channels and pixels."""

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self._shape, self._generator = (size, 1, 1, 1), generator

    def uniform(self, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(self._shape, generator=self._generator)

    def log_uniform(self, reach: float) -> Tensor:
        return torch.exp(self.uniform(-reach, reach))

    def chance(self, p: float) -> Tensor:
        return torch.rand(self._shape, generator=self._generator) < p

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self._shape[0], *shape, generator=self._generator)


def gaussian_blur(images: Float[Tensor, "b c h w"], sigma: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Each image blurred by its own standard deviation in pixels; edges are replicated."""
    b, c, h, w = images.shape
    reach = max(1, math.ceil(3 * float(sigma.max())))
    offset = torch.arange(-reach, reach + 1, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma[:, None].to(images.dtype)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    flat = F.pad(images.reshape(1, b * c, h, w), (reach,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=b * c)
    return F.conv2d(flat, kernel[:, None, None, :], groups=b * c).reshape(b, c, h, w)


def _stain(images: Tensor, draw: _Draws, *, sd: float, gray: float) -> Tensor:
    """Colour images get a random mixture of their channels, or lose their colour; gray ones stay as they are."""
    colour = (images.amax(1) - images.amin(1)).amax((1, 2)) > 1e-6
    matrix = torch.eye(3) + sd * draw.normal(3, 3)
    matrix = torch.where(draw.chance(gray)[:, 0], torch.full((3, 3), 1 / 3), matrix)
    mixed = torch.einsum("bij,bjhw->bihw", matrix, images)
    return torch.where(colour[:, None, None, None], mixed, images)
