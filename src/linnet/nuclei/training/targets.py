"""What the network is asked to predict: a proximity map of the centres and the offset to the nearest one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from linnet.errors import InputError
from linnet.nuclei.detector.sizes import REFERENCE_PX

Target = Literal["proximity", "repel"]
ALPHA = 3.0  # steepness of the map; ours


def proximity(distance: np.ndarray, d: float, alpha: float = ALPHA) -> np.ndarray:
    """Height of the map at a distance from the nearest centre.

    M(D) = (exp(alpha (1 - D/d)) - 1) / (exp(alpha) - 1) for D <= d, else 0; M(0) = 1 and M(d) = 0.

    Args:
        distance: D in pixels; infinite where there is no centre.
        d: Radius of the map in pixels.
        alpha: Steepness.

    Source:
        The form is common in the field; alpha and d are ours.
    """
    inside = np.clip(1.0 - np.asarray(distance, dtype=np.float64) / d, 0.0, None)
    return np.expm1(alpha * inside) / math.expm1(alpha)


def mean_over_disc(alpha: float = ALPHA) -> float:
    """Mean of the map over the disc of radius d: 2 (e^alpha - 1 - alpha - alpha^2 / 2) / (alpha^2 (e^alpha - 1)).

    0.13490 for alpha = 3. It says how much of an image's map one nucleus fills.
    """
    return 2 * (math.expm1(alpha) - alpha - alpha**2 / 2) / (alpha**2 * math.expm1(alpha))


def map_radius(points: Float[np.ndarray, "n 2"], *, low: float = 3.0, high: float = 12.0) -> float:
    """Radius d of the map for one image: half the median nearest-neighbour distance, clipped to [low, high] pixels.

    An image with fewer than two centres gets `high`. Source: ours.
    """
    if len(points) < 2:
        return high
    return float(np.clip(0.5 * np.median(KDTree(points).query(points, k=2)[0][:, 1]), low, high))


def median_spacing(images: Iterable[Float[np.ndarray, "n 2"]]) -> float | None:
    """Median over images of the median distance of a centre to its nearest neighbour; None without two centres."""
    several = [points for points in images if len(points) > 1]
    each = [float(np.median(KDTree(points).query(points, k=2)[0][:, 1])) for points in several]
    return round(float(np.median(each)), 2) if each else None


def cell_centres(cells: tuple[int, int], stride: int) -> Float[np.ndarray, "h w 2"]:
    """(y, x) in pixels of the centres of the output cells: stride * i + (stride - 1) / 2."""
    y, x = (stride * np.arange(n) + (stride - 1) / 2 for n in cells)
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)


def size_map(
    points: Float[np.ndarray, "n 2"], diameters: Float[np.ndarray, " n"], cells: tuple[int, int], stride: int, d: float
) -> Float[np.ndarray, "h w"]:
    """log(diameter / REFERENCE_PX) of the nearest nucleus at cells nearer than d to it; NaN elsewhere.

    Args:
        points: Centres (y, x) in input pixels.
        diameters: Of each nucleus in input pixels; NaN where it isn't known.
        cells: (height, width) of the output grid.
        stride: Input pixels per cell.
        d: Radius of the map in pixels.
    """
    if len(points) == 0:
        return np.full(cells, np.nan)
    distance, index = KDTree(points).query(cell_centres(cells, stride).reshape(-1, 2), distance_upper_bound=d)
    size = np.append(np.log(np.maximum(diameters, 1.0) / REFERENCE_PX), np.nan)
    return np.where(np.isfinite(distance), size[index], np.nan).reshape(cells)


def build_target(
    points: Float[np.ndarray, "n 2"],
    cells: tuple[int, int],
    stride: int,
    d: float,
    *,
    target: Target = "proximity",
    alpha: float = ALPHA,
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "2 h w"]]:
    """The map and the offsets on the output grid, exact at sub-pixel centres.

    Args:
        points: Centres (y, x) in input pixels; centres outside the grid but nearer than d shape it too.
        cells: (height, width) of the output grid.
        stride: Input pixels per cell.
        d: Radius of the map in pixels.
        target: "proximity" uses D, the distance to the nearest centre; "repel" uses D (1 + D / D2) with D2 the distance
            to the second nearest, which deepens the valley between close centres.
        alpha: Steepness of the map.

    Returns:
        (map, offset): map in 0..1; offset (y, x) from the cell's centre to the nearest centre in units of the stride,
        0 where the map is 0.
    """
    if target not in ("proximity", "repel"):
        raise InputError(f"`target` is {target!r}; choose 'proximity' or 'repel'.")
    centres = cell_centres(cells, stride)
    if len(points) == 0:
        return np.zeros(cells), np.zeros((2, *cells))
    points = np.asarray(points, dtype=np.float64)
    tree, flat = KDTree(points), centres.reshape(-1, 2)
    if target == "proximity":  # beyond d the map is 0, so the search may stop there
        distance, index = tree.query(flat, distance_upper_bound=np.nextafter(d, np.inf))
    else:
        nearest, indices = (np.asarray(found) for found in tree.query(flat, k=2))
        first, second = nearest.T  # the second is infinite when there is one centre only
        distance, index = first * (1 + first / np.where(second > 0, second, 1.0)), indices[:, 0]
    height = proximity(distance, d, alpha)
    safe = np.where(index < len(points), index, 0)
    offset = np.where((height > 0)[:, None], (points[safe] - flat) / stride, 0.0)
    return height.reshape(cells), np.moveaxis(offset.reshape(*cells, 2), -1, 0)
