"""Random changes of a batch of images, on tensors, from a generator that the caller gives.

Every function takes images (N, C, H, W) on the generator's device and draws for each image anew. What comes out depends
on the images and on the generator's state only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from linnet.errors import InputError

Fill = Literal["zero", "edge", "reflect"]
_PAD_MODES = {"zero": "constant", "edge": "replicate", "reflect": "reflect"}


def flip(images: Tensor, generator: torch.Generator, *, probability: float = 0.5) -> Tensor:
    """Images mirrored left to right, each with the probability given.

    Args:
        images: (N, C, H, W), any dtype.
        generator: Drawn from once.
        probability: Chance that an image is mirrored.
    """
    mirrored = torch.rand(len(images), generator=generator, device=images.device) < probability
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def crop(
    images: Tensor, generator: torch.Generator, *, size: tuple[int, int], padding: int = 0, fill: Fill = "zero"
) -> Tensor:
    """A window of each image, at a place drawn uniformly from all whole-pixel places.

    Args:
        images: (N, C, H, W), any dtype.
        generator: Drawn from twice.
        size: (height, width) of the window.
        padding: Pixels added on each side first.
        fill: What is added: "zero", "edge" (border pixel repeated) or "reflect" (mirrored, border pixel not repeated).

    Returns:
        (N, C, *size), of the same dtype.

    Raises:
        InputError: the window is larger than the padded image, or there is too little image to reflect.
    """
    _, _, height, width = images.shape
    if fill == "reflect" and padding >= min(height, width):
        raise InputError(
            f"`padding` must be less than the image's smaller side, {min(height, width)}, with fill='reflect' (got "
            f"{padding}). Lower it, or choose another `fill`."
        )
    rows, columns = height + 2 * padding - size[0], width + 2 * padding - size[1]
    if min(rows, columns) < 0 or min(size) < 1:
        raise InputError(
            f"`size` must be between 1 x 1 and {height + 2 * padding} x {width + 2 * padding} pixels (got {size})."
        )
    padded = _padded(images, padding, fill)
    top = torch.randint(rows + 1, (len(images), 1), generator=generator, device=images.device)
    left = torch.randint(columns + 1, (len(images), 1), generator=generator, device=images.device)
    y = top + torch.arange(size[0], device=images.device)
    x = left + torch.arange(size[1], device=images.device)
    sample = torch.arange(len(images), device=images.device)
    # With the channel's slice between the index tensors, the indexed axes come first: (N, h, w, C).
    return padded[sample[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2).contiguous()


def shift(images: Tensor, generator: torch.Generator, *, most_px: int, fill: Fill = "zero") -> Tensor:
    """Images moved by up to `most_px` whole pixels in y and in x; what is uncovered is filled.

    Padding and a random window of the old size: with `most_px=4, fill="zero"` the usual treatment of CIFAR-10.

    Args:
        images: (N, C, H, W), any dtype.
        generator: Drawn from twice.
        most_px: Largest movement along each axis.
        fill: As in `crop`.

    Source:
        He et al. 2016, section 4.2.
    """
    return crop(images, generator, size=(images.shape[2], images.shape[3]), padding=most_px, fill=fill)


def brightness_contrast(
    images: Tensor, generator: torch.Generator, *, brightness: float = 0.0, contrast: float = 0.0
) -> Tensor:
    """Images made lighter or darker, harder or softer.

    y = m + c (x - m) + b with m the mean of all pixels of the image, b uniform in +-brightness, and c uniform in
    1 +- contrast. Nothing is clipped.

    Args:
        images: (N, C, H, W), floating point, on the scale where white is 1.
        generator: Drawn from twice.
        brightness: Largest |b|.
        contrast: Largest |c - 1|.
    """
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    draw = torch.rand(2, len(images), 1, 1, 1, generator=generator, device=images.device, dtype=images.dtype) * 2 - 1
    return mean + (1 + contrast * draw[1]) * (images - mean) + brightness * draw[0]


@dataclass(frozen=True)
class Augment:
    """Flip, shift, brightness and contrast, in this order; what is 0 or False is left out.

    Attributes:
        flip: Mirror every second image left to right.
        shift_px: Largest movement, in whole pixels.
        fill: What a movement uncovers is filled with.
        brightness: Largest change of brightness, white being 1.
        contrast: Largest relative change of contrast.
    """

    flip: bool = False
    shift_px: int = 0
    fill: Fill = "zero"
    brightness: float = 0.0
    contrast: float = 0.0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The changed images, of the same shape; (N, C, H, W), floating point, white being 1."""
        if self.flip:
            images = flip(images, generator)
        if self.shift_px:
            images = shift(images, generator, most_px=self.shift_px, fill=self.fill)
        if self.brightness or self.contrast:
            images = brightness_contrast(images, generator, brightness=self.brightness, contrast=self.contrast)
        return images


@dataclass(frozen=True)
class Standardise:
    """Bytes to floats with mean 0 and standard deviation 1 in each channel of the training set.

    y = (x / 255 - mean) / deviation, with 1 for the deviation of a constant channel.

    Attributes:
        mean: Of each channel, on the scale where 255 is 1.
        deviation: Of each channel, on that scale.
    """

    mean: Sequence[float]
    deviation: Sequence[float]

    def __call__(self, images: Tensor) -> Tensor:
        """float32 (N, C, H, W) of uint8 images, or of float images whose white is 1."""
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        mean = torch.tensor(tuple(self.mean), device=images.device)[:, None, None]
        deviation = torch.tensor([d or 1.0 for d in self.deviation], device=images.device)[:, None, None]
        return (scaled - mean) / deviation


def _padded(images: Tensor, padding: int, fill: Fill) -> Tensor:
    if padding == 0:
        return images
    sides = (padding,) * 4
    if fill == "zero":
        return pad(images, sides)
    # Reflection and replication exist for floating point only; every byte is exact in float32.
    floating = images if images.is_floating_point() else images.float()
    return pad(floating, sides, mode=_PAD_MODES[fill]).to(images.dtype)
