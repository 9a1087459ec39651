"""Whether a point is brighter or darker than its surroundings: dark holes between bright nuclei are no nuclei."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_INNER = 3.5  # pixels of the scaled picture: the disc about a point
_RING = (9.0, 12.0)  # the ring that it is compared with: at the edge of a nucleus of the reference diameter
_CLEAR = 0.05  # of the range of brightness, by which a hole is darker than the ring


def contrast(picture: Float[np.ndarray, "c h w"], points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """Mean brightness in a disc about each point less that in a ring around it; beyond the edges the picture repeats.

    Args:
        picture: Normalised pixels.
        points: (y, x) in its pixels.
    """
    gray = picture.mean(0)
    reach = int(_RING[1])
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    away = np.hypot(y, x)
    means = []
    for mask in (away <= _INNER, (away >= _RING[0]) & (away <= _RING[1])):
        rows = np.clip(np.rint(points[:, :1]).astype(int) + y[mask], 0, gray.shape[0] - 1)
        columns = np.clip(np.rint(points[:, 1:]).astype(int) + x[mask], 0, gray.shape[1] - 1)
        means.append(gray[rows, columns].mean(1))
    return means[0] - means[1]


def has_polarity(picture: np.ndarray, points: np.ndarray, sign: int) -> np.ndarray:
    """Which points are not clearly of the other kind than `sign`: 1 bright, -1 dark."""
    return sign * contrast(picture, points) >= -_CLEAR
