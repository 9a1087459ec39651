"""Blocks of pixels from all over an image: what is decided once for the whole of it is decided on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

_ALONG = 8  # blocks along each axis
_MOST = 1 << 18  # pixels up to which the blocks cover the image
_SIDE = 64  # pixels of a block's side in a larger one


def sample_blocks(image: Any) -> Iterator[np.ndarray]:
    """Blocks of an image in rows, booleans as 0 and 1.

    They cover an image of up to 2^18 pixels; of a larger one 8 x 8 blocks spread evenly are read and nothing else.

    Args:
        image: (h, w) or (h, w, c); anything with shape, dtype and slicing.
    """
    height, width = image.shape[:2]
    whole = height * width <= _MOST
    rows, columns = (_spans(size, whole=whole) for size in (height, width))
    for top, bottom in rows:
        band = np.asarray(image[top:bottom]) if whole else None
        for left, right in columns:
            block = np.asarray(image[top:bottom, left:right]) if band is None else band[:, left:right]
            numbers = block.view(np.uint8) if block.dtype == np.bool_ else block
            yield numbers[..., :3] if numbers.ndim == 3 else numbers


def _spans(size: int, *, whole: bool) -> list[tuple[int, int]]:
    if whole:
        step = max(1, math.ceil(size / _ALONG))
        return [(low, min(size, low + step)) for low in range(0, size, step)]
    side = min(size, _SIDE)
    count = min(_ALONG, -(-size // side))
    return [(round(low), round(low) + side) for low in np.linspace(0, size - side, count)]
