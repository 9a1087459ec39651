"""Change of size that a tile and the whole image agree on: weights depend on positions in the whole image only."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_matrix

from linnet.errors import InputError


def scaled_size(size: int, scale: float) -> int:
    """Pixels of an axis after scaling; at least one."""
    return max(1, math.floor(size * scale + 0.5))


def axis_weights(size: int, scale: float, start: int, stop: int) -> tuple[csr_matrix, int, int]:
    """Weights that make the pixels [start, stop) of a scaled axis from the pixels [low, high) of the original.

    Output pixel i covers [i / scale, (i + 1) / scale) of the input: shrinking averages over that stretch (no aliasing),
    growing interpolates linearly at its middle, (i + 0.5) / scale - 0.5. Beyond the edges the outermost pixel repeats.

    Args:
        size: Pixels of the original axis.
        scale: Output pixels per input pixel.
        start: First output pixel; may lie beyond the axis.
        stop: One past the last.

    Returns:
        (weights of shape (stop - start, high - low), low, high); rows sum to 1.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"`scale` must be a positive finite number, such as 0.5 (got {scale}).")
    position = np.arange(start, stop)
    if scale < 1:
        rows, columns, weights = _area(position, scale)
    else:
        at = (position + 0.5) / scale - 0.5
        below = np.floor(at)
        rows = np.tile(np.arange(len(position)), 2)
        columns = np.concatenate([below, below + 1]).astype(np.int64)
        weights = np.concatenate([1 - (at - below), at - below])
    columns = np.clip(columns, 0, size - 1)
    low, high = int(columns.min()), int(columns.max()) + 1
    matrix = csr_matrix((weights.astype(np.float32), (rows, columns - low)), shape=(len(position), high - low))
    return matrix, low, high


def _area(position: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlap of each output pixel's stretch with the input pixels, as a share of the stretch."""
    begin, end = position / scale, (position + 1) / scale
    reach = math.ceil(1 / scale) + 1
    columns = np.floor(begin)[:, None] + np.arange(reach)
    overlap = np.clip(np.minimum(columns + 1, end[:, None]) - np.maximum(columns, begin[:, None]), 0, None)
    rows = np.broadcast_to(np.arange(len(position))[:, None], columns.shape)
    return rows.ravel(), columns.astype(np.int64).ravel(), (overlap * scale).ravel()


def resize_window(pixels: np.ndarray, rows: csr_matrix, columns: csr_matrix) -> np.ndarray:
    """float32 (h', w') or (h', w', c): `rows` and `columns` applied to a window of the image."""
    planes = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1)
    out = np.stack([(columns @ (rows @ planes[..., c]).T).T for c in range(planes.shape[2])], axis=-1)
    return out.reshape(*out.shape[:2], *pixels.shape[2:])
