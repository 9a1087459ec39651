"""Digital: elastic deformation and coarse pixels."""

from __future__ import annotations

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.grid import BASE, base_sides, gaussian, sampled, to_sides


def elastic_transform(x: Floats, draws: Draws, amplitude: float, smoothing: float, jitter: float) -> Floats:
    """A random affine map and random displacements, mirrored at the border, by one linear interpolation.

    The affine map takes three points about the centre to places moved by up to jitter * side; the displacements are
    uniform noise smoothed by smoothing * side, times amplitude * side. The noise is drawn on a grid whose smaller side
    is 32. The published code interpolates twice, once for each map.
    """
    height, width = x.shape[1:3]
    side = min(height, width)
    y, left = np.broadcast_arrays(np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64))
    moved = draws.uniform(-jitter * side, jitter * side, 3, 2)
    places = [np.broadcast_to(one, (len(x), height, width)) for one in (y, left)]
    if amplitude > 0:
        fields = draws.uniform(-1, 1, 2, *base_sides(x))
        for axis in (0, 1):
            field = gaussian(fields[:, axis], smoothing * BASE, mode="reflect", truncate=3.0)
            places[axis] = places[axis] + amplitude * side * to_sides(field, height, width)
    return sampled(x, *_mapped_back(places[0], places[1], moved, height, width))


def _mapped_back(y: Floats, left: Floats, moved: Floats, height: int, width: int) -> tuple[Floats, Floats]:
    """Where the affine map that moves three points by `moved` takes (y, left) from."""
    reach = min(height, width) // 3
    middle = np.array([height // 2, width // 2], dtype=np.float64)
    before = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    after = np.concatenate([before + moved, np.ones((len(moved), 3, 1))], axis=2)
    back = np.linalg.inv(after) @ before  # (N, 3, 2): (y, x, 1) after -> (y, x) before
    back = back[:, :, :, None, None]
    return (
        y * back[:, 0, 0] + left * back[:, 1, 0] + back[:, 2, 0],
        y * back[:, 0, 1] + left * back[:, 1, 1] + back[:, 2, 1],
    )


def pixelate(x: Floats, _draws: Draws, share: float) -> Floats:
    """Each image made smaller by the box filter, to int(share * side) pixels, and larger again by the nearest one.

    The box of a small pixel holds the pixels whose centres lie in it, as in the box filter of Pillow.
    """
    for axis in (1, 2):
        side = x.shape[axis]
        few = int(side * share)
        # In whole numbers, as centres may lie on edges: such a one belongs to the box that ends there.
        starts = (2 * np.arange(few) * side - few) // (2 * few) + 1
        counts = np.diff(np.append(starts, side)).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
        small = np.add.reduceat(x, starts, axis=axis) / counts
        x = small.take((2 * np.arange(side) + 1) * few // (2 * side), axis=axis)
    return x
