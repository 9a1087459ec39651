"""Layouts of images: what comes in becomes (N, H, W, C) floats in 0..1, and goes out as it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from linnet.arrays import Floats
from linnet.errors import InputError

Bytes = npt.NDArray[np.uint8]
SMALLEST_SIDE = 8


@dataclass(frozen=True)
class Layout:
    """Where images came from.

    Attributes:
        images: As they came; never written to.
        array: The same as a NumPy array (N, H, W, C).
    """

    images: Any
    array: npt.NDArray[Any]

    @property
    def floats(self) -> Floats:
        """(N, H, W, C) in 0..1."""
        return self.array.astype(np.float64) / (255.0 if self.array.dtype == np.uint8 else 1.0)

    @property
    def bytes(self) -> Bytes:
        """(N, H, W, C): equal for a float image and for the bytes that it rounds to."""
        return (
            np.rint(self.array.astype(np.float64) * 255).astype(np.uint8)
            if self.array.dtype.kind == "f"
            else self.array
        )

    def restored(self, floats: Floats) -> Any:
        """Images of the type, layout, dtype and device that came; clipped to 0..1, bytes by rounding half to even."""
        clipped = np.clip(floats, 0.0, 1.0)
        if self.array.dtype == np.uint8:
            found = np.rint(clipped * 255).astype(np.uint8)
        else:
            found = np.ascontiguousarray(np.moveaxis(clipped, 3, 1))
        if isinstance(self.images, Tensor):
            return torch.from_numpy(found).to(dtype=self.images.dtype, device=self.images.device)
        return found.astype(self.images.dtype, copy=False)


def read(images: Any) -> Layout:
    """The layout of a batch.

    Args:
        images: uint8 (N, H, W, C), or floating point (N, C, H, W) in [0, 1]; a tensor or an array, C = 1 or 3, sides of
            at least 8 pixels.

    Raises:
        InputError: type, shape, channels, size or values don't fit.
    """
    if not isinstance(images, (Tensor, np.ndarray)):
        raise InputError(
            f"`images` must be a tensor or an array (got {type(images).__name__}). Stack the images first."
        )
    if isinstance(images, Tensor) and (images.layout is not torch.strided or images.is_meta):
        kind = "without values, on the meta device" if images.is_meta else f"of the layout {images.layout}"
        raise InputError(f"`images` must be a dense tensor or an array (got a tensor {kind}). Make it dense first.")
    shape = tuple(images.shape)
    plain = _plain(images)
    floating = plain.dtype.kind == "f"
    if not floating and plain.dtype != np.uint8:
        raise InputError(
            f"`images` must be uint8 (N, H, W, C) or floating point (N, C, H, W) (got {images.dtype}). Convert them "
            "first."
        )
    wanted = "(N, C, H, W) for floating point" if floating else "(N, H, W, C) for uint8"
    if plain.ndim != 4:
        raise InputError(
            f"`images` must have the shape {wanted} (got {shape}). Add the axis of the batch: images[None]."
        )
    channels = shape[1] if floating else shape[3]
    if not floating and channels not in (1, 3) and shape[1] in (1, 3):
        order = "images.permute(0, 2, 3, 1)" if isinstance(images, Tensor) else "images.transpose(0, 2, 3, 1)"
        raise InputError(
            f"`images` must have the shape {wanted} (got (N, C, H, W): {shape}). Put the channels last: {order}."
        )
    if channels not in (1, 3):
        raise InputError(
            f"`images` must have 1 or 3 channels, in the shape {wanted} (got {channels}, shape {shape}). Drop an alpha "
            "channel, or permute the axes."
        )
    array = np.moveaxis(plain, 1, 3) if floating else plain
    if min(array.shape[1:3]) < SMALLEST_SIDE:
        raise InputError(f"`images` must have sides of at least {SMALLEST_SIDE} pixels (got {array.shape[1:3]}).")
    if floating and bool(np.isnan(array).any()):
        raise InputError(
            f"`images` must be in [0, 1] (got nan in {int(np.isnan(array).any((1, 2, 3)).sum())} of {len(array)} "
            "images). Find where it comes from, or leave those images out."
        )
    if floating and array.size and not bool(((array >= 0) & (array <= 1)).all()):
        raise InputError(
            f"`images` must be in [0, 1] (got {array.min():.4g} to {array.max():.4g}). Corrupt images before they are "
            "standardised; divide 0..255 by 255."
        )
    return Layout(images, array)


def _plain(images: Any) -> npt.NDArray[Any]:
    if not isinstance(images, Tensor):
        return images
    here = images.detach().cpu()
    small = here.is_floating_point() and here.dtype not in (torch.float32, torch.float64)  # NumPy lacks most of them
    return (here.float() if small else here).numpy()
