"""Random textures: the plasma of fog, and crystals for frost."""

from __future__ import annotations

import math

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.draws import Draws

_CRYSTALS = 9


def plasma(draws: Draws, height: int, width: int, decay: float) -> Floats:
    """(N, height, width) in [0, 1]: diamond-square maps of the next power of two, cut to size.

    On a torus: squares get the mean of their corners, diamonds that of their neighbours, each plus noise whose
    amplitude falls by decay^2 with each halving of the step.
    """
    side = 2 ** math.ceil(math.log2(max(height, width)))
    noise = draws.uniform(-1, 1, side * side)
    grid = np.zeros((len(noise), side, side))
    used, step, amplitude = 0, side, 1.0
    while step >= 2:
        half, cells = step // 2, side // step
        corners = grid[:, ::step, ::step]
        for place, total in (
            ((half, half), _sum_of_corners(corners)),
            ((0, half), None),
            ((half, 0), None),
        ):
            if total is None:
                total = _sum_of_neighbours(grid, corners, step, horizontal=place[0] == 0)
            drawn = noise[:, used : used + cells * cells].reshape(-1, cells, cells)
            grid[:, place[0] :: step, place[1] :: step] = total / 4 + amplitude * drawn
            used += cells * cells
        step, amplitude = half, amplitude / decay**2
    grid -= grid.min(axis=(1, 2), keepdims=True)
    return (grid / grid.max(axis=(1, 2), keepdims=True))[:, :height, :width]


def crystals(draws: Draws, height: int, width: int) -> Floats:
    """(N, height, width) in [0, 1]: six-armed ferns that grow from random places, with bright seams between them.

    linnet's choice: a procedure in place of photographs of frost.
    """
    side = min(height, width)
    y, x = np.mgrid[:height, :width] / side
    drawn = draws.uniform(0, 1, 3, _CRYSTALS)
    dy = y[None, ..., None] - (drawn[:, 0] * height / side)[:, None, None]
    dx = x[None, ..., None] - (drawn[:, 1] * width / side)[:, None, None]
    distance = np.sqrt(dy**2 + dx**2)
    nearest = distance.argmin(axis=3)[..., None]
    two = np.partition(distance, 1, axis=3)
    own_y, own_x = (np.take_along_axis(gap, nearest, axis=3)[..., 0] for gap in (dy, dx))
    turn = np.take_along_axis(drawn[:, 2][:, None, None], nearest, axis=3)[..., 0] * (math.pi / 3)
    # Angle to the nearest of six arms, in -30 .. 30 degrees, and the barbs that leave the arm at 60 degrees.
    off = np.mod(np.arctan2(own_y, own_x) - turn + math.pi / 6, math.pi / 3) - math.pi / 6
    radius = two[..., 0]
    along = radius * (np.cos(off) - np.abs(np.sin(off)) / math.sqrt(3))
    arms = np.exp(-((radius * np.sin(off) / 0.02) ** 2))
    barbs = (0.5 + 0.5 * np.cos(2 * math.pi * 14 * along)) ** 2
    seams = np.exp(-(((two[..., 1] - two[..., 0]) / 0.03) ** 2))
    mist = plasma(draws, height, width, 1.6)
    return np.clip((0.9 * arms + 0.55 * barbs + 0.5 * seams) * (0.35 + 0.65 * mist), 0, 1)


def _sum_of_corners(corners: Floats) -> Floats:
    rows = corners + np.roll(corners, -1, axis=1)
    return rows + np.roll(rows, -1, axis=2)


def _sum_of_neighbours(grid: Floats, corners: Floats, step: int, *, horizontal: bool) -> Floats:
    """Of the middles of edges: both ends of the edge and the centres of the two squares beside it."""
    centres = grid[:, step // 2 :: step, step // 2 :: step]
    along, across = (2, 1) if horizontal else (1, 2)
    return corners + np.roll(corners, -1, axis=along) + centres + np.roll(centres, 1, axis=across)
