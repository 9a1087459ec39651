"""Statistics of the four noises on flat pictures, at every severity."""

import numpy as np
import pytest

from linnet.data import corrupt
from linnet.data.corruptions.application import TABLE


def flat(level, images=3, side=96):
    return np.full((images, 3, side, side), level)


@pytest.mark.parametrize("severity", range(1, 6))
def test_the_deviation_of_noise_is_that_of_the_table(severity):
    for name, expected in (
        ("gaussian_noise", lambda c: c),
        ("speckle_noise", lambda c: 0.5 * c),
        ("shot_noise", lambda c: np.sqrt(0.5 / c)),
    ):
        (constant,) = TABLE[name][1][severity - 1]
        noise = corrupt(flat(0.5), name, severity) - 0.5
        assert noise.std() == pytest.approx(expected(constant), rel=0.03)
        assert abs(noise.mean()) < 4 * expected(constant) / np.sqrt(noise.size)


def test_shot_noise_counts_photons():
    counts = corrupt(flat(0.2), "shot_noise", 5) * 50
    assert np.allclose(counts, np.rint(counts), atol=1e-9)


@pytest.mark.parametrize("severity", range(1, 6))
def test_impulses_are_half_black_and_half_white_in_single_elements(severity):
    (share,) = TABLE["impulse_noise"][1][severity - 1]
    found = corrupt(flat(0.5), "impulse_noise", severity)
    tolerance = 5 * np.sqrt(share / found.size)
    assert (found == 0).mean() == pytest.approx(share / 2, abs=tolerance)
    assert (found == 1).mean() == pytest.approx(share / 2, abs=tolerance)
    assert ((found != 0.5).sum(axis=1) == 1).any()  # a channel alone


def test_black_has_no_shot_or_speckle_noise():
    for name in ("shot_noise", "speckle_noise"):
        assert (corrupt(flat(0.0), name, 5) == 0).all()
