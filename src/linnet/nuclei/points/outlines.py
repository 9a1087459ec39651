"""The centroid of an outline: polygons with holes, and several that make one nucleus."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def outline_centroid(rings: Sequence[ArrayLike]) -> tuple[float, float]:
    """Centre of mass of the area inside one or several closed outlines.

    With signed area A_r and first moments of ring r by the shoelace formula, the centroid is the ratio of their sums;
    a hole runs the other way round than the ring about it and so takes its part away. Outlines without area (a line, a
    single vertex) have the mean of their vertices.

    Args:
        rings: Each (k, 2), in any coordinates; closed or not.

    Returns:
        The two coordinates, in the order given.

    Example:
        >>> outline_centroid([[(0, 0), (4, 0), (4, 2), (0, 2)]])
        (2.0, 1.0)
    """
    arrays = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
    origin = arrays[0][0]  # small numbers: the moments of a nucleus far from 0 would cancel
    area, moments = 0.0, np.zeros(2)
    for ring in arrays:
        here = ring - origin
        after = np.roll(here, -1, axis=0)
        cross = here[:, 0] * after[:, 1] - after[:, 0] * here[:, 1]
        area += float(cross.sum()) / 2
        moments += ((here + after) * cross[:, None]).sum(axis=0) / 6
    extent = max(float(np.ptp(ring, axis=0).max()) for ring in arrays)
    if abs(area) <= 1e-12 * max(extent, 1e-300) ** 2:
        a, b = np.concatenate(arrays).mean(axis=0).tolist()
        return a, b
    a, b = (origin + moments / area).tolist()
    return a, b


def turned(ring: ArrayLike, *, positive: bool) -> np.ndarray:
    """The ring in the direction whose signed area is positive, or negative for a hole."""
    array = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    after = np.roll(array, -1, axis=0) - array[0]
    here = array - array[0]
    area = float((here[:, 0] * after[:, 1] - after[:, 0] * here[:, 1]).sum())
    return array if (area >= 0) == positive else array[::-1]
