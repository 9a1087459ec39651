"""Elastic deformation and coarse pixels against loops."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from linnet.data.corruptions.digital import elastic_transform, pixelate
from linnet.data.corruptions.draws import Draws

NONE = Draws(np.zeros((0, 8, 8, 3), np.uint8), "", 1, 0)


class Given(Draws):
    def __init__(self, *drawn):
        self.drawn = list(drawn)

    def uniform(self, low, high, *shape):
        return self.drawn.pop(0)


def test_the_affine_map_takes_the_three_points_to_where_they_moved():
    y, x = np.mgrid[:30, :40].astype(float)
    moved = np.array([[[2.0, -1.0], [0.5, 3.0], [-2.0, 1.0]]])
    rows = elastic_transform(y[None, ..., None], Given(moved), 0, 0, 0.1)[0, ..., 0]
    columns = elastic_transform(x[None, ..., None], Given(moved), 0, 0, 0.1)[0, ..., 0]
    middle = np.array([15, 20])
    for point, shift in zip(middle + 10 * np.array([[1, 1], [1, -1], [-1, -1]]), moved[0], strict=True):
        place = (point + shift)[:, None]
        assert map_coordinates(rows, place, order=1)[0] == pytest.approx(point[0], abs=1e-9)
        assert map_coordinates(columns, place, order=1)[0] == pytest.approx(point[1], abs=1e-9)


def test_displacements_move_the_picture():
    x = np.random.default_rng(0).random((1, 32, 32, 1))
    still, field = np.zeros((1, 3, 2)), np.zeros((1, 2, 32, 32))
    field[:, 0] = 1.0  # a constant field stays constant when smoothed
    found = elastic_transform(x, Given(still, field), 3 / 32, 0.06, 0.05)
    assert found[0, :29] == pytest.approx(x[0, 3:], abs=1e-9)
    assert found[0, 29] == pytest.approx(x[0, 30], abs=1e-9)  # mirrored at the border


def slow_pixelate(row, share):
    few = int(len(row) * share)
    step = len(row) / few
    small = []
    for k in range(few):
        own = [v for i, v in enumerate(row) if k * step + 1e-9 < i + 0.5 <= (k + 1) * step + 1e-9]
        small.append(sum(own) / len(own))
    return [small[int((i + 0.5) * few / len(row))] for i in range(len(row))]


@pytest.mark.parametrize("share", [0.95, 0.9, 0.85, 0.75, 0.65, 0.5])
@pytest.mark.parametrize("side", [8, 17, 32])
def test_pixelate_is_that_of_a_loop_over_boxes(share, side):
    row = np.random.default_rng(0).random(side)
    x = np.tile(row[None, None, :, None], (1, 8, 1, 1))
    assert pixelate(x, NONE, share)[0, 3, :, 0].tolist() == pytest.approx(slow_pixelate(row, share), abs=1e-12)
    turned = x.transpose(0, 2, 1, 3)
    assert pixelate(turned, NONE, share)[0, :, 3, 0].tolist() == pytest.approx(slow_pixelate(row, share), abs=1e-12)
