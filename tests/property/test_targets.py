"""Flips, transposes and turns commute with the making of targets, without any rounding."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from linnet.nuclei.training.targets import build_target, cell_centres

# A symmetry: what it does to an array's last two axes, to points in an image (h, w), and to vectors (y, x).
SYMMETRIES = {
    "upside down": (lambda a: a[..., ::-1, :], lambda p, h, w: (h - 1 - p[0], p[1]), lambda v: (-v[0], v[1])),
    "left to right": (lambda a: a[..., ::-1], lambda p, h, w: (p[0], w - 1 - p[1]), lambda v: (v[0], -v[1])),
    "transposed": (lambda a: np.swapaxes(a, -1, -2), lambda p, h, w: (p[1], p[0]), lambda v: (v[1], v[0])),
    "a quarter turn": (
        lambda a: np.rot90(a, 1, (-2, -1)),
        lambda p, h, w: (w - 1 - p[1], p[0]),
        lambda v: (-v[1], v[0]),
    ),
    "half a turn": (
        lambda a: np.rot90(a, 2, (-2, -1)),
        lambda p, h, w: (h - 1 - p[0], w - 1 - p[1]),
        lambda v: (-v[0], -v[1]),
    ),
}


@st.composite
def scenes(draw):
    stride = draw(st.sampled_from([1, 2, 4]))
    cells = draw(st.tuples(st.integers(3, 14), st.integers(3, 14)))
    n = draw(st.integers(1, 12))
    # 64ths of a pixel: sums, differences and squares of such numbers are exact in float64.
    coordinate = st.integers(-300, 64 * 56)
    points = np.array(draw(st.lists(st.tuples(coordinate, coordinate), min_size=n, max_size=n, unique=True))) / 64
    return points, cells, stride, draw(st.sampled_from([3.0, 5.5, 12.0]))


def assert_commutes(points, cells, stride, d, target, symmetry, *, move_points=None):
    of_array, of_point, of_vector = SYMMETRIES[symmetry]
    size = (stride * cells[0], stride * cells[1])
    moved = np.array([(move_points or of_point)(p, *size) for p in points])
    new_cells = cells[::-1] if symmetry in ("transposed", "a quarter turn") else cells
    height, offset = build_target(points, cells, stride, d, target=target)
    height_moved, offset_moved = build_target(moved, new_cells, stride, d, target=target)
    assert np.array_equal(height_moved, of_array(height))
    expected = np.stack(of_vector(of_array(offset))) + 0.0  # -0 is 0
    assert np.array_equal(offset_moved + 0.0, expected)


@given(scenes(), st.sampled_from(sorted(SYMMETRIES)), st.sampled_from(["proximity", "repel"]))
@settings(max_examples=80, deadline=None)
def test_targets_commute_to_zero_error_on_odd_and_even_sizes(scene, symmetry, target):
    points, cells, stride, d = scene
    squared = ((cell_centres(cells, stride)[:, :, None] - points) ** 2).sum(-1)
    nearest = np.sort(squared, axis=-1)[..., :2]
    # Between two equally near centres no choice of "the" nearest commutes with the mirror that exchanges them.
    assume(len(points) == 1 or not (nearest[..., 0] == nearest[..., 1]).any())
    assert_commutes(points, cells, stride, d, target, symmetry)


def test_a_forgotten_half_pixel_is_seen():
    """The planted fault: points mirrored at h in place of h - 1."""
    points = np.array([[3.25, 6.5], [10.0, 2.0]])
    assert_commutes(points, (16, 12), 1, 5.0, "proximity", "upside down")
    with pytest.raises(AssertionError):
        assert_commutes(
            points, (16, 12), 1, 5.0, "proximity", "upside down", move_points=lambda p, h, w: (h - p[0], p[1])
        )


@given(scenes(), st.integers(-3, 3), st.integers(-3, 3))
@settings(max_examples=40, deadline=None)
def test_a_shift_by_cells_shifts_the_target(scene, down, right):
    points, (h, w), stride, d = scene
    squared = ((cell_centres((h, w), stride)[:, :, None] - points) ** 2).sum(-1)
    nearest = np.sort(squared, axis=-1)[..., :2]
    assume(len(points) == 1 or not (nearest[..., 0] == nearest[..., 1]).any())
    here = build_target(points, (h, w), stride, d)
    there = build_target(points + stride * np.array([down, right]), (h, w), stride, d)
    ys, xs = slice(max(0, down), h + min(0, down)), slice(max(0, right), w + min(0, right))
    ys0, xs0 = slice(max(0, -down), h + min(0, -down)), slice(max(0, -right), w + min(0, -right))
    for a, b in zip(here, there, strict=True):
        assert np.array_equal(b[..., ys, xs], a[..., ys0, xs0])
