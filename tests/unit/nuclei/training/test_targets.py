import numpy as np
import pytest

from linnet.errors import InputError
from linnet.nuclei.training.targets import (
    build_target,
    cell_centres,
    map_radius,
    mean_over_disc,
    median_spacing,
    proximity,
    size_map,
)


def of(*points):
    return np.array(points, dtype=float).reshape(-1, 2)


def test_the_map_is_the_closed_form():
    d, alpha = 8.0, 3.0
    distance = np.array([0.0, 1.0, 2.5, 4.0, 7.9, 8.0, 8.1, np.inf])
    expected = (np.exp(alpha * (1 - distance / d)) - 1) / (np.exp(alpha) - 1)
    expected[distance > d] = 0
    np.testing.assert_allclose(proximity(distance, d), expected, rtol=0, atol=1e-15)
    assert proximity(np.array([0.0, 8.0]), 8.0).tolist() == [1.0, 0.0]


def test_half_height_lies_at_0_2149_d():
    assert proximity(np.array([0.2149 * 10]), 10.0)[0] == pytest.approx(0.5, abs=1e-3)


def test_the_mean_over_the_disc():
    assert mean_over_disc(3.0) == pytest.approx(0.13490, abs=5e-6)
    side = np.arange(-400, 401) / 400
    r = np.hypot(*np.meshgrid(side, side))
    assert proximity(r, 1.0)[r <= 1].mean() == pytest.approx(mean_over_disc(), abs=2e-4)


@pytest.mark.parametrize(("s", "plain", "repelled"), [(8.0, 0.18, 0.0), (6.0, 0.29, 0.059)])
def test_the_valley_between_two_centres(s, plain, repelled):
    """Figures of the plan for d = 8."""
    points = of((10, 10), (10, 10 + s))
    middle = (10, 10 + int(s / 2))
    assert build_target(points, (21, 30), 1, 8.0)[0][middle] == pytest.approx(plain, abs=5e-3)
    assert build_target(points, (21, 30), 1, 8.0, target="repel")[0][middle] == pytest.approx(repelled, abs=5e-4)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("centre", [(20.0, 20.0), (17.3, 22.75), (0.0, 0.0)])
def test_one_centre_equals_the_closed_form_to_1e_12(stride, centre):
    d = 7.0
    for target in ("proximity", "repel"):
        height, offset = build_target(of(centre), (48 // stride, 40 // stride), stride, d, target=target)
        for i in range(48 // stride):
            for j in range(40 // stride):
                dy, dx = centre[0] - stride * i - (stride - 1) / 2, centre[1] - stride * j - (stride - 1) / 2
                distance = (dy**2 + dx**2) ** 0.5
                m = (np.exp(3 * (1 - distance / d)) - 1) / (np.exp(3) - 1) if distance < d else 0.0
                assert abs(height[i, j] - m) <= 1e-12
                expected = (dy / stride, dx / stride) if distance < d else (0.0, 0.0)
                assert np.abs(offset[:, i, j] - expected).max() <= 1e-12


def test_cell_centres_stand_half_a_stride_in():
    assert cell_centres((2, 3), 4).tolist() == [
        [[1.5, 1.5], [1.5, 5.5], [1.5, 9.5]],
        [[5.5, 1.5], [5.5, 5.5], [5.5, 9.5]],
    ]
    assert cell_centres((1, 2), 1).tolist() == [[[0, 0], [0, 1]]]


def test_several_centres_are_the_slow_definition():
    rng = np.random.default_rng(4)
    points, d = rng.uniform(-5, 45, (30, 2)), 9.0
    centres = cell_centres((20, 20), 2)
    away = np.linalg.norm(centres[:, :, None] - points, axis=-1)
    nearest, (first, second) = away.argmin(-1), np.sort(away, axis=-1).transpose(2, 0, 1)[:2]
    for target, effective in [("proximity", first), ("repel", first * (1 + first / second))]:
        height, offset = build_target(points, (20, 20), 2, d, target=target)
        np.testing.assert_allclose(height, proximity(effective, d), atol=1e-12)
        expected = np.where((effective < d)[..., None], (points[nearest] - centres) / 2, 0)
        np.testing.assert_allclose(offset, np.moveaxis(expected, -1, 0), atol=1e-12)


def test_a_centre_outside_shapes_the_grid():
    height, offset = build_target(of((-3.0, 5.0)), (10, 10), 1, 8.0)
    assert height[0, 5] == proximity(np.array(3.0), 8.0)
    assert offset[:, 0, 5].tolist() == [-3.0, 0.0]


def test_no_centre_no_map():
    height, offset = build_target(np.zeros((0, 2)), (4, 5), 2, 8.0)
    assert (height.shape, offset.shape) == ((4, 5), (2, 4, 5))
    assert not height.any()
    assert not offset.any()


def test_a_centre_given_twice_counts_once_where_it_stands():
    """D2 is 0 there: the map is 1 and stays finite."""
    height = build_target(of((4, 4), (4, 4), (4, 12)), (10, 16), 1, 6.0, target="repel")[0]
    assert height[4, 4] == 1.0
    assert np.isfinite(height).all()


def test_an_unknown_target_is_refused():
    with pytest.raises(InputError, match="`target`"):
        build_target(of((1, 1)), (4, 4), 1, 3.0, target="disc")


def test_the_size_map_holds_the_log_diameter_of_the_nearest_nucleus():
    points, diameters = of((4.2, 5.1), (20, 22), (21, 40)), np.array([24.0, 48.0, np.nan])
    found = size_map(points, diameters, (15, 25), 2, 7.0)
    for (y, x), centre in zip(np.ndindex(15, 25), cell_centres((15, 25), 2).reshape(-1, 2), strict=True):
        away = np.hypot(*(points - centre).T)
        nearest = int(away.argmin())
        if away[nearest] < 7 and nearest < 2:
            assert found[y, x] == [0.0, np.log(2)][nearest]
        else:
            assert np.isnan(found[y, x])
    assert np.isnan(size_map(np.zeros((0, 2)), np.zeros(0), (3, 4), 2, 7.0)).all()


def test_the_spacing_is_the_median_of_the_medians():
    rows = of((0, 0), (0, 10), (0, 22)), of((0, 0), (0, 4)), of((3, 3)), of((0, 0), (40, 0), (80, 0))
    assert median_spacing(rows) == 10.0
    assert median_spacing([of((0, 0))]) is None


def test_the_radius_is_half_the_median_spacing_between_3_and_12():
    assert map_radius(of((0, 0), (0, 10), (0, 20))) == 5.0
    assert map_radius(of((0, 0), (0, 10), (0, 22), (50, 50), (50, 66))) == 6.0  # spacings 10, 10, 12, 16, 16
    assert map_radius(of((0, 0), (0, 2))) == 3.0
    assert map_radius(of((0, 0), (0, 200))) == 12.0
    assert map_radius(of((0, 0))) == map_radius(np.zeros((0, 2))) == 12.0
    assert map_radius(of((3, 3), (3, 3))) == 3.0
