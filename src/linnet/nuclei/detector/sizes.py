"""Diameters of nuclei from the network's fourth channel: the logarithm of the diameter over the reference."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree
from torch import Tensor

from linnet.nuclei.detector.tiles import Plane, Tile

REFERENCE_PX = 24.0
"""The diameter whose logarithm is 0; ours."""


def diameters_at(output: Tensor, points: np.ndarray, tile: Tile, stride: int, reference_px: float) -> np.ndarray | None:
    """Diameters (n,) in scaled pixels, read from the cell in which each point lies; None from a network without them.

    Args:
        output: (channels, cells, cells) over the tile's window.
        points: (n, 2) in scaled pixels.
        tile: Where the output lies.
        stride: Scaled pixels per cell.
        reference_px: Diameter whose logarithm is 0.
    """
    if len(output) < 4:
        return None
    corner = np.array([tile.window[0][0], tile.window[1][0]])
    cells = np.floor((points - corner + 0.5) / stride).astype(int)
    cells = np.clip(cells, 0, np.array(output.shape[1:]) - 1)
    return reference_px * np.exp(output[3, cells[:, 0], cells[:, 1]].numpy().astype(np.float64))


def of_kept(kept: np.ndarray, points: np.ndarray, diameters: np.ndarray, plane: Plane) -> np.ndarray:
    """Diameters in image pixels of the points that `settle` kept.

    Args:
        kept: (k, 2) in image pixels.
        points: (n, 2) in scaled pixels, before they were settled.
        diameters: (n,) of those in scaled pixels.
        plane: The picture.
    """
    if not len(kept):
        return np.zeros(0)
    index = KDTree((points + 0.5) / plane.scale - 0.5).query(kept)[1]
    return diameters[index] / plane.scale
