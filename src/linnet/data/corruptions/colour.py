"""Colour: brightness, contrast and saturation."""

from __future__ import annotations

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.draws import Draws

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def gray(x: Floats) -> Floats:
    """(N, H, W, 1) luminance; gray images as they are."""
    if x.shape[3] == 1:
        return x
    return (x[..., :1] * _LUMA[0] + x[..., 1:2] * _LUMA[1]) + x[..., 2:] * _LUMA[2]


def brightness(x: Floats, _draws: Draws, more: float) -> Floats:
    """The HSV value plus `more`, hue and saturation kept; gray images: added."""
    if x.shape[3] == 1:
        return x + more
    value = x.max(axis=3, keepdims=True)
    brighter = np.clip(value + more, 0, 1)
    return np.where(value > 0, x * brighter / np.where(value > 0, value, 1.0), brighter)


def contrast(x: Floats, _draws: Draws, factor: float) -> Floats:
    """mean + factor (x - mean), about the mean of each channel of the image."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return mean + factor * (x - mean)


def saturate(x: Floats, _draws: Draws, factor: float, more: float) -> Floats:
    """The HSV saturation times `factor` plus `more`, cut to 0..1; gray pixels have the hue 0, which is red."""
    value, lowest = x.max(axis=3, keepdims=True), x.min(axis=3, keepdims=True)
    range_ = value - lowest
    saturation = np.where(value > 0, range_ / np.where(value > 0, value, 1.0), 0.0)
    # How far each channel lies below the value, in 0..1: of gray pixels as of red ones.
    below = np.where(range_ > 0, (value - x) / np.where(range_ > 0, range_, 1.0), np.array([0.0, 1.0, 1.0]))
    return value * (1 - np.clip(saturation * factor + more, 0, 1) * below)
