"""From the network's output to points: peaks of the map, moved by their offsets, close ones merged."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.spatial import KDTree
from torch import Tensor


def find_peaks(
    logit: Float[Tensor, "h w"], *, threshold: float, window: int
) -> tuple[Int64[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Cells that are the maximum of their (2 window + 1)^2 neighbourhood and whose logit is above the threshold.

    Of two such cells within one window, which are equally high, the later one in (y, x) order is no peak. So a peak
    depends on the cells within two windows of it and no others, and a tile and the whole image agree.

    Args:
        logit: The map before its sigmoid: heights near 1 stay distinct.
        threshold: Smallest logit of a peak.
        window: Half width of the neighbourhood in cells.

    Returns:
        (cells, logits), sorted by (y, x).
    """
    heights = logit.numpy()
    cells = np.argwhere(heights > threshold)  # few: only they are compared with their neighbours
    width = heights.shape[1] + 2 * window
    framed = np.pad(heights, window, constant_values=-np.inf).ravel()
    place = (cells[:, 0] + window) * width + cells[:, 1] + window
    height, peak = framed[place], np.ones(len(cells), dtype=bool)
    reach = np.arange(-window, window + 1)
    for step in (reach[:, None] * width + reach).ravel():
        peak &= height >= framed[place + step]
    cells, height = cells[peak], height[peak]
    first = np.ones(len(cells), dtype=bool)
    if len(cells) > 1:
        # Two peaks inside one window are equally high; the later one goes. argwhere() lists cells in (y, x) order.
        pairs = KDTree(cells).query_pairs(window, p=np.inf, output_type="ndarray")
        first[pairs.max(axis=1)] = False
    return cells[first], height[first]


def to_points(
    cells: Int64[np.ndarray, "n 2"], offset: Float[np.ndarray, "n 2"] | None, stride: int
) -> Float64[np.ndarray, "n 2"]:
    """Points in input pixels: cell i has its centre at stride * i + (stride - 1) / 2; offsets are in cells."""
    centres = stride * cells.astype(np.float64) + (stride - 1) / 2
    return centres if offset is None else centres + stride * offset.astype(np.float64)


def keep_apart(
    points: Float64[np.ndarray, "n 2"], score: Float[np.ndarray, " n"], distance_px: float
) -> Int64[np.ndarray, " k"]:
    """Indices of the points that stay when of two nearer than `distance_px` only the higher one may stay.

    Points are taken from high to low (equal scores in (y, x) order); each one that is left removes its lower
    neighbours. The result is sorted by (y, x).
    """
    order = np.lexsort((points[:, 1], points[:, 0], -score))
    alive = np.ones(len(points), dtype=bool)
    if distance_px > 0 and len(points) > 1:
        rank = np.empty(len(points), dtype=np.int64)
        rank[order] = np.arange(len(points))
        pairs = KDTree(points).query_pairs(distance_px, output_type="ndarray")
        gap = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
        pairs = np.sort(rank[pairs[gap < distance_px]], axis=1)
        for high, low in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:
            if alive[order[high]]:
                alive[order[low]] = False
    kept = np.flatnonzero(alive)
    return kept[np.lexsort((points[kept, 1], points[kept, 0]))]
