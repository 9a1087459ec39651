"""Blurs: flat stays flat, energy stays, kernels and the glass against loops."""

import math

import numpy as np
import pytest

from linnet.data import corrupt
from linnet.data.corruptions.blur import _taken, disk, shrunk
from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.grid import streaked

BLURS = ("gaussian_blur", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur")


@pytest.mark.parametrize("name", [*BLURS, "pixelate", "elastic_transform"])
@pytest.mark.parametrize("shape", [(32, 32), (9, 20), (50, 41)])
def test_flat_pictures_stay_flat(name, shape):
    images = np.full((2, *shape, 3), 77, dtype=np.uint8)
    for severity in (1, 3, 5):
        assert (corrupt(images, name, severity) == 77).all()


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "pixelate", "contrast"])
def test_damage_grows_with_severity(name):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    # motion: radius and angle change, so it is compared on the average of several pictures
    damage = [np.abs(corrupt(images, name, s).astype(float) - images).mean() for s in range(1, 6)]
    assert damage[0] < damage[4]
    assert damage[0] == min(damage)


def test_the_disk_is_that_of_its_definition():
    kernel = disk(1.5, 0.1, smooth=1)
    assert kernel.shape == (5, 5)
    assert kernel.sum() == pytest.approx(1)
    inside = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if y * y + x * x <= 2.25]
    assert len(inside) == 9  # the centre and its eight neighbours
    assert kernel[1:4, 1:4] == pytest.approx(np.full((3, 3), 1 / 9), abs=1e-12)  # a Gaussian of 0.1 pixels does nothing
    softened = disk(0.3, 0.4, smooth=1)  # one pixel, then the Gaussian alone
    taps = np.exp(-np.array([1, 0, 1]) / (2 * 0.16))
    assert softened == pytest.approx(np.outer(taps, taps) / taps.sum() ** 2)


def test_a_kernel_shrinks_by_area():
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) / 5
    assert shrunk(cross, 1.0) == pytest.approx(cross)
    small = shrunk(cross, 0.75)  # a tap beside the centre covers .375 .. 1.125: a sixth of it is in the middle pixel
    assert small.sum() == pytest.approx(1)
    assert small[1, 2] == pytest.approx(5 / 6 / 5)
    assert small[1, 1] == pytest.approx((1 + 4 / 6) / 5)
    assert shrunk(cross, 0.3)[1, 1] == pytest.approx(1)


def slow_glass(x, offsets, reach):
    """Pixel by pixel, from the last to the first."""
    images, height, width, _ = x.shape
    x = x.copy()
    for n in range(images):
        for h in range(height - reach, reach, -1):
            for w in range(width - reach, reach, -1):
                dy, dx = offsets[n, h, w]
                x[n, h, w] = x[n, h + dy, w + dx]
    return x


@pytest.mark.parametrize(("side", "reach"), [((8, 8), 1), ((13, 9), 2), ((32, 32), 1), ((20, 24), 4)])
def test_the_glass_is_that_of_a_loop_from_the_last_pixel_to_the_first(side, reach):
    generator = np.random.default_rng(1)
    x = generator.random((3, *side, 2))
    offsets = generator.integers(-reach, reach, (3, *side, 2))
    assert np.array_equal(_taken(x, offsets, reach), slow_glass(x, offsets, reach))


def test_the_streak_is_that_of_a_loop():
    x = np.random.default_rng(2).random((2, 12, 15, 1))
    angles = np.array([0.6, -0.3])
    out = streaked(x, 4, 1.5, angles)
    weights = np.exp(-(np.arange(9) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    for n, angle in enumerate(angles):
        for y, left in ((0, 0), (5, 7), (11, 14), (6, 1)):
            total = 0.0
            for i, weight in enumerate(weights):
                py = min(max(y - math.floor(i * math.sin(angle) + 0.5), 0), 11)
                px = min(max(left - math.floor(i * math.cos(angle) + 0.5), 0), 14)
                total += weight * x[n, py, px, 0]
            assert out[n, y, left, 0] == pytest.approx(total, abs=1e-11)


def test_zoom_blur_is_the_mean_of_its_zooms():
    from linnet.data.corruptions.blur import zoom_blur
    from linnet.data.corruptions.grid import zoomed

    x = np.random.default_rng(3).random((1, 10, 12, 1))
    expected = np.mean([x] + [zoomed(x, 1 + 0.01 * k) for k in range(7)], axis=0)
    draws = Draws(np.zeros((1, 10, 12, 1), np.uint8), "zoom_blur", 1, 0)
    assert zoom_blur(x, draws, 7) == pytest.approx(expected, abs=1e-12)
