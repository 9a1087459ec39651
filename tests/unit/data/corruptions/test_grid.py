"""Resampling and filtering against loops and SciPy."""

import numpy as np
import pytest
from scipy.ndimage import correlate as scipy_correlate
from scipy.ndimage import map_coordinates

from linnet.data.corruptions.grid import base_sides, correlate, sampled, to_sides, zoomed

X = np.random.default_rng(0).random((2, 11, 14, 3))


def test_a_small_kernel_and_a_large_one_are_scipys_correlation():
    for sides in ((3, 5), (25, 27)):  # the large one goes through Fourier transforms
        kernel = np.random.default_rng(1).random(sides)
        x = np.random.default_rng(2).random((2, 40, 41, 1))
        for mode, theirs in (("reflect", "mirror"), ("edge", "nearest")):
            expected = np.stack([scipy_correlate(one[..., 0], kernel, mode=theirs) for one in x])[..., None]
            assert correlate(x, kernel, mode=mode) == pytest.approx(expected, abs=1e-9)


def test_sampling_is_scipys_linear_interpolation_with_a_mirror():
    generator = np.random.default_rng(3)
    y, left = generator.uniform(-9, 20, (2, 11, 14)), generator.uniform(-12, 26, (2, 11, 14))
    found = sampled(X, y, left)
    for n in range(2):
        for c in range(3):
            expected = map_coordinates(X[n, ..., c], [y[n], left[n]], order=1, mode="mirror", prefilter=False)
            assert found[n, ..., c] == pytest.approx(expected, abs=1e-12)


def test_a_zoom_keeps_the_centre_and_spreads_the_rest():
    ramp = np.tile(np.arange(9.0)[None, :, None, None], (1, 1, 9, 1))
    assert zoomed(ramp, 2)[0, :, 4, 0].tolist() == pytest.approx([2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6])
    assert np.array_equal(zoomed(X, 1), X)


def test_a_field_comes_to_size_with_its_pixel_centres_in_place():
    field = np.array([[[0.0, 2.0], [4.0, 6.0]]])
    wide = to_sides(field, 2, 4)
    assert wide[0, 0].tolist() == [0, 0.5, 1.5, 2]
    assert np.array_equal(to_sides(field, 2, 2), field)
    assert base_sides(np.zeros((1, 64, 96, 3))) == (32, 48)
    assert base_sides(np.zeros((1, 8, 16, 1))) == (32, 64)
