"""A drawn circuit board with a broken track: an inspection image where no photograph is at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from linnet.report.jet.feature_maps import Box

COPPER, BOARD = 230, 30  # grey values


def drawn_board(height: int, width: int) -> tuple[NDArray[np.uint8], Box]:
    """Bright tracks across and a pad on a dark board; the middle track is open.

    Args:
        height: Pixels, at least 4.
        width: Likewise.

    Returns:
        (h, w) grey values, and the box of the gap.
    """
    y, x = np.mgrid[:height, :width]
    period = max(4, height // 4)
    copper = y % period >= period - period // 2
    copper |= x >= width - max(1, width // 8)  # the tracks end in a bar
    copper |= (y - height / 4) ** 2 + (x - width / 4) ** 2 <= (min(height, width) / 7) ** 2
    top = period * (height // period // 2) + period - period // 2
    top, bottom = min(top, height - 1), min(top + period // 2, height)
    gap = max(2, width // 10)
    left = (width - gap) // 2
    copper[top:bottom, left : left + gap] = False
    pixels = np.where(copper, COPPER, BOARD).astype(np.uint8)
    return pixels, Box(max(top - 1, 0), max(left - 1, 0), min(bottom + 1, height), min(left + gap + 1, width))
