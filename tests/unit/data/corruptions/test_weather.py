"""Snow, frost, fog and spatter: what their formulas promise."""

import numpy as np
import pytest

from linnet.data import corrupt
from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.weather import fog, frost_like, snow, spatter

DARK = np.full((4, 32, 32, 3), 40, dtype=np.uint8)


def draws(name):
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] + np.zeros((4, 32, 32, 3), dtype=np.uint8)
    return Draws(images, name, 1, 0)


def test_snow_only_brightens_and_is_its_own_half_turn_on_flat_pictures():
    x = np.full((4, 32, 32, 3), 0.2)
    found = snow(x, draws("snow"), 0.25, 0.3, 2.25, 0.6, 12, 6, 0.85)
    assert (found >= x - 1e-12).all()
    assert found == pytest.approx(found[:, ::-1, ::-1], abs=1e-12)
    assert found.max() > 0.5


def test_snow_without_flakes_is_the_whitened_picture():
    x = np.full((4, 32, 32, 3), 0.2)
    found = snow(x, draws("snow"), 0.1, 0.2, 1, 9.0, 8, 3, 0.9)
    assert found == pytest.approx(np.full_like(x, 0.9 * 0.2 + 0.1 * (1.5 * 0.2 + 0.5)))


def test_fog_keeps_the_brightest_level():
    x = np.random.default_rng(0).random((4, 32, 32, 3))
    found = fog(x, draws("fog"), 1.0, 2.0)
    highest = x.max(axis=(1, 2, 3))
    assert (found.max(axis=(1, 2, 3)) <= highest + 1e-12).all()
    # what was added is gray: differences between channels shrink by one factor
    factor = (highest / (highest + 1.0))[:, None, None]
    assert (found[..., 0] - found[..., 1]) == pytest.approx(factor * (x[..., 0] - x[..., 1]), abs=1e-12)
    assert (corrupt(DARK * 0, "fog", 3) == 0).all()


def test_frost_is_a_share_of_the_picture_plus_blue_white_ice():
    x = np.random.default_rng(0).random((4, 32, 32, 3))
    found = frost_like(x, draws("frost_like"), 0.75, 0.45)
    ice = (found - 0.75 * x) / 0.45
    assert ice.min() >= -1e-12
    assert ice.max() <= 1 + 1e-12
    assert ice[..., 0] / 0.84 == pytest.approx(ice[..., 2], abs=1e-12)


def test_water_brightens_and_mud_covers():
    x = np.full((4, 32, 32, 3), 0.2)
    water = spatter(x, draws("spatter"), 0.65, 0.3, 1, 0.69, 0.5, False)
    added = water - x
    assert added.min() >= 0
    assert added[..., 1].max() == pytest.approx(0.5 * 238 / 255)
    white = np.ones((4, 32, 32, 3))
    mud = spatter(white, draws("spatter"), 0.65, 0.1, 0.5, 0.68, 0.6, True)
    covered = mud[..., 0] < 1
    assert 0.001 < covered.mean() < 0.3
    share = (1 - mud[..., 0]) / (1 - 63 / 255)
    assert mud[..., 2] == pytest.approx(1 - share * (1 - 20 / 255), abs=1e-12)
    assert share[covered].min() >= 0.8 - 1e-9
