"""The example as whole pixels, and how the trained network sees a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from linnet.errors import InputError

SLACK = 1e-3  # a float32 of scale * pixel + shift is that near to a whole pixel for up to 12 bits


@dataclass(frozen=True)
class Pixels:
    """The network saw scale * pixel + shift, for whole pixels in [low, high]."""

    scale: Fraction
    shift: Fraction
    low: int
    high: int

    def seen(self, pixels: Tensor) -> Tensor:
        """float64 of what the network sees."""
        return pixels.double() * float(self.scale) + float(self.shift)


def pixels_of(pixels: Any, input_range: Any) -> Pixels:
    """The two arguments of `freeze`, checked.

    Raises:
        InputError: they aren't a (scale, shift) with scale not 0 and a (low, high) of whole numbers.
    """
    try:
        scale, shift = (float(value) for value in pixels)
    except (TypeError, ValueError):
        scale = shift = math.nan
    if not math.isfinite(scale) or not math.isfinite(shift) or scale == 0:
        raise InputError(
            f"`pixels` must be (scale, shift), finite and scale not 0 (got {pixels!r}). E.g. (1 / 255, 0)."
        )
    try:
        low, high = input_range
    except (TypeError, ValueError):
        low = high = None
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in (low, high))
    if not whole or not -(2**15) <= low < high < 2**15:  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
        raise InputError(
            f"`input_range` must be (low, high), whole numbers of 16 bits with low < high (got {input_range!r}). E.g. "
            "(0, 255)."
        )
    return Pixels(Fraction(scale), Fraction(shift), low, high)  # pyright: ignore[reportArgumentType]


def whole_pixels(example: Tensor, pixels: Pixels) -> Tensor:
    """int64 pixels of an example: an integer tensor as it is, a float one by (x - shift) / scale.

    Raises:
        InputError: it isn't made of whole pixels, or some are out of range.
    """
    if example.is_floating_point():
        exact = (example.detach().cpu().double() - float(pixels.shift)) / float(pixels.scale)
        found = exact.round()
        off = (exact - found).abs()
        if not exact.isfinite().all() or off.max() > SLACK:
            worst = example.flatten()[int(off.nan_to_num(1e9).argmax())]
            raise InputError(
                f"`example` must hold scale * pixel + shift for whole pixels (got {float(worst):.6g}, with pixels="
                f"({float(pixels.scale):.6g}, {float(pixels.shift):.6g})). Give what the network is trained on, and "
                "pixels=(scale, shift) of its preparation, or an example of whole pixels as integers."
            )
        found = found.long()
    else:
        found = example.detach().cpu().long()
    return require_range("example", found, pixels.low, pixels.high)


def require_range(name: str, values: Tensor, low: int, high: int) -> Tensor:
    """The values, if all lie in [low, high].

    Raises:
        InputError: one doesn't; it is named with its place.
    """
    outside = (values < low) | (values > high)
    if outside.any():
        place = tuple(torch.nonzero(outside)[0].tolist())
        raise InputError(
            f"`{name}` must hold pixels of {low}..{high} (got {int(values[place])} at {place}). Scale the images, or "
            "freeze with another input_range."
        )
    return values
