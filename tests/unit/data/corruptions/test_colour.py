"""Brightness, contrast and saturation against the standard library's HSV."""

import colorsys

import numpy as np
import pytest

from linnet.data.corruptions.colour import brightness, contrast, gray, saturate
from linnet.data.corruptions.draws import Draws

NONE = Draws(np.zeros((0, 8, 8, 3), np.uint8), "", 1, 0)
X = np.random.default_rng(0).random((2, 9, 8, 3))
X[0, 0, 0] = 0.0  # black
X[0, 0, 1] = 0.4  # gray
X[0, 0, 2] = 1.0  # white


def by_pixel(x, change):
    return np.array([colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*p))) for p in x.reshape(-1, 3)]).reshape(x.shape)


@pytest.mark.parametrize("more", [0.05, 0.3])
def test_brightness_is_added_to_the_value(more):
    assert brightness(X, NONE, more) == pytest.approx(by_pixel(X, lambda h, s, v: (h, s, min(v + more, 1))), abs=1e-12)
    assert brightness(X[..., :1], NONE, more) == pytest.approx(X[..., :1] + more)


@pytest.mark.parametrize(("factor", "more"), [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)])
def test_saturation_is_scaled(factor, more):
    expected = by_pixel(X, lambda h, s, v: (h, min(s * factor + more, 1), v))
    assert saturate(X, NONE, factor, more) == pytest.approx(expected, abs=1e-12)


def test_contrast_is_about_the_mean_of_each_channel():
    found = contrast(X, NONE, 0.3)
    assert found.mean(axis=(1, 2)) == pytest.approx(X.mean(axis=(1, 2)), abs=1e-12)
    assert found.std(axis=(1, 2)) == pytest.approx(0.3 * X.std(axis=(1, 2)), abs=1e-12)


def test_gray_is_the_luminance():
    assert gray(np.array([[[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]]))[0, 0, :, 0].tolist() == pytest.approx([0.299, 1.0])
