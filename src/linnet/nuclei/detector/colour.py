"""What a colour picture shows: stain on light ground, one dye on dark ground, or several dyes in one picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from linnet.nuclei.detector.sample import sample_blocks

Modality = Literal["auto", "fluorescence", "brightfield"]
CHANNELS = ("red", "green", "blue")

# Shares of the brightest value that the strongest channel of the darkest 5 % and of half of the pixels has. Stained
# tissue is nowhere darker than 0.24 in 188 images of four sets, and where half of it is darker than 0.6 the darkest
# twentieth is darker by 0.15 and more; on dark ground the two lie close together.
_BLACK, _DARK_HALF, _CLOSE = 0.15, 0.6, 0.1
_ONE_HUE = 0.1  # share of its own range by which a channel of one hue differs from the strongest one, scaled
_ONE_CURVE = 0.02  # colours that lie on one curve from dark to bright differ from it by this share of their range
_BINS = 64
_LIT = 0.2  # of a channel's range: pixels below it in all channels are ground
_VISIBLE = 0.1  # a channel with less of the strongest one's range shows nothing


class ColourView:
    """One channel, or the mean of the channels, of a colour picture; looks like a gray picture and is read by slices.

    Args:
        image: (h, w, 3) or (h, w, 4); anything with shape, dtype and slicing.
        channel: 0, 1 or 2; None for the mean of the three.
    """

    def __init__(self, image: Any, channel: int | None) -> None:
        self._image, self._channel = image, channel
        self.shape: tuple[int, ...] = tuple(image.shape[:2])
        self.dtype = np.dtype(np.float32) if channel is None else np.dtype(image.dtype)

    def __getitem__(self, where: Any) -> np.ndarray:
        """The pixels of a part, given by slices along y and x."""
        part = np.asarray(self._image[where])
        return part[..., :3].mean(-1, dtype=np.float32) if self._channel is None else part[..., self._channel]


def nuclear_view(
    image: Any, modality: Modality, merit: Callable[[Any], float]
) -> tuple[Any, Literal["dark", "light", "unknown"], str]:
    """The picture that the nuclei are looked for in, its ground, and what a person should know about the choice.

    A picture in which only one channel varies is that channel, exactly, and one whose channels are equal is gray. On
    dark ground one hue is its strongest channel and a colour map the mean of the channels; of several hues the channel
    is taken in which nuclei are found most surely, blue where it comes close. Everything else is stain and stays in
    colour.

    Args:
        image: (h, w) or (h, w, c) pixels.
        modality: "auto", or what the picture is said to be.
        merit: How surely nuclei are found in a gray picture; -inf where none are.

    Source:
        Ours.
    """
    if len(image.shape) == 2:
        return image, "unknown", ""
    pixels = np.concatenate([block.reshape(-1, 3) for block in sample_blocks(image)]).astype(np.float64)
    varying = [c for c in range(3) if np.ptp(pixels[:, c]) > 0]
    if len(varying) == 1:
        return ColourView(image, varying[0]), "unknown", ""
    if not varying or modality == "brightfield":
        return image, "light" if varying else "unknown", ""
    if np.array_equal(pixels[:, :1].repeat(2, 1), pixels[:, 1:]):
        return ColourView(image, 0), "unknown", ""
    if modality == "auto" and not _on_dark_ground(pixels):
        return image, "light", ""
    low, high = np.percentile(pixels, [1, 99.8], axis=0)
    span = high - low
    strongest = int(np.argmax(span))
    shown = [c for c in varying if span[c] >= _VISIBLE * span[strongest]]
    above = pixels - low
    bright = (above[:, shown] > _LIT * span[shown]).any(1)  # the ground says nothing about hues
    lit = above[bright] if bright.any() else above
    if all(_follows(lit[:, c], lit[:, strongest], span[c]) for c in shown):
        return ColourView(image, strongest), "dark", ""
    if _one_curve(lit):
        return ColourView(image, None), "dark", ""
    chosen = _most_nuclear({c: merit(ColourView(image, c)) for c in shown})
    others = " or ".join(CHANNELS[c] for c in shown if c != chosen)
    word = f"several dyes in one picture: nuclei were looked for in the {CHANNELS[chosen]} channel"
    return ColourView(image, chosen), "dark", f"{word}; if they are in {others}, choose that channel" if others else ""


def _most_nuclear(merits: dict[int, float]) -> int:
    """The channel with the highest merit; blue, the colour of most nuclear dyes, where it is nearly as high."""
    best = max(merits, key=lambda c: (merits[c], c))
    return 2 if 2 in merits and merits[2] >= merits[best] - 0.05 else best


def _on_dark_ground(pixels: np.ndarray) -> bool:
    strongest = pixels.max(1)
    dark, half, bright = np.percentile(strongest, [5, 50, 99.8])
    even = dark <= _BLACK * bright or half - dark <= _CLOSE * bright
    return bool(bright > 0 and even and half <= _DARK_HALF * bright)


def _follows(channel: np.ndarray, strongest: np.ndarray, span: float) -> bool:
    """Whether a channel is a multiple of the strongest one, up to a share of its own range."""
    factor = float(channel @ strongest) / max(float(strongest @ strongest), 1e-12)
    return bool(np.sqrt(np.mean((channel - factor * strongest) ** 2)) <= _ONE_HUE * span)


def _one_curve(pixels: np.ndarray) -> bool:
    """Whether each channel is a function of the sum of the channels, as in a colour map."""
    total = pixels.sum(1)
    bins = np.minimum(((total - total.min()) / max(np.ptp(total), 1e-12) * _BINS).astype(int), _BINS - 1)
    counts = np.maximum(np.bincount(bins, minlength=_BINS), 1)
    scale = max(float(np.ptp(pixels)), 1e-12)
    for channel in pixels.T:
        mean = np.bincount(bins, channel, minlength=_BINS) / counts
        if np.sqrt(np.mean((channel - mean[bins]) ** 2)) > _ONE_CURVE * scale:
            return False
    return True
