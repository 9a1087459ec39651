"""The synthetic field: truth lies on the nuclei, and the camera's noise has the law that the docstring states."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from scipy.spatial import KDTree

from linnet.data.synthetic import Optics, fluorescence_field
from linnet.errors import InputError

CLEAN = Optics(photons=1000, background=0.0, blur_px=0.5, gain=1.0, read_noise=0.0, offset=0.0)


def test_the_same_seed_gives_the_same_field_and_another_seed_another():
    first, again, other = (fluorescence_field((96, 120), 12, rng_seed=s) for s in (3, 3, 4))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert first[0].shape == (96, 120)
    assert first[0].dtype == np.uint16


def test_points_are_sorted_and_inside():
    _, points = fluorescence_field((200, 150), 40, rng_seed=1)
    assert points.shape == (40, 2)
    assert np.all(np.diff(points[:, 0]) >= 0)
    assert np.all((points >= 0) & (points <= [199, 149]))


def test_separate_nuclei_are_the_bright_parts_and_their_centroids_the_truth():
    # Without background and noise, every connected bright part is one nucleus when none touches.
    image, points = fluorescence_field((300, 300), 20, rng_seed=5, touching=0.0, optics=CLEAN)
    parts, count = label(image > 80)
    assert count == 20
    for y, x in points:
        part = np.argwhere(parts == parts[round(y), round(x)])
        assert np.hypot(*(part.mean(axis=0) - [y, x])) < 0.5


def test_touching_sets_nuclei_against_each_other():
    def nearest(touching: float) -> np.ndarray:
        _, points = fluorescence_field((400, 400), 60, rng_seed=2, diameter_px=(16, 16), touching=touching)
        return KDTree(points).query(points, k=2)[0][:, 1]

    assert (nearest(0.0) > 18).all()  # free nuclei keep a gap of a quarter of 16 px, but for the outline's irregularity
    assert (nearest(0.5) < 17.5).sum() >= 30


def test_camera_noise_is_poisson_and_read_noise():
    optics = Optics(photons=400, background=0.5, blur_px=1.0, gain=3.0, read_noise=10.0, offset=100.0)
    stack = np.stack([fluorescence_field((60, 60), 0, rng_seed=s, optics=optics)[0] for s in range(40)]).astype(float)
    # The illumination differs from seed to seed, so noise is taken from differences of neighbouring pixels.
    noise = (stack[:, :, 1::2] - stack[:, :, ::2]) / np.sqrt(2)
    signal = gaussian_filter(stack, (0, 3, 3)).mean() - optics.offset
    expected = optics.gain * signal + optics.read_noise**2
    assert np.var(noise) == pytest.approx(expected, rel=0.02)  # 72,000 differences: 0.5 % standard error


def test_background_is_uneven():
    image, _ = fluorescence_field((256, 256), 0, optics=Optics(read_noise=0))
    smooth = gaussian_filter(image.astype(float), 12)
    assert smooth.max() > 1.2 * smooth.min()


def test_bright_light_saturates_in_place_of_wrapping():
    image, points = fluorescence_field((64, 64), 2, optics=Optics(photons=60000))
    assert image.max() == 65535
    assert all(image[round(y), round(x)] > 20000 for y, x in points)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 10), "n": 1}, "`shape`"),
        ({"shape": (10, 10), "n": -1}, "`n`"),
        ({"shape": (40, 40), "n": 50}, "40 x 40"),
        ({"shape": (40, 40), "n": 1, "touching": 1.5}, "`touching`"),
        ({"shape": (40, 40), "n": 1, "diameter_px": (20, 10)}, "`diameter_px`"),
    ],
)
def test_senseless_requests_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fluorescence_field(**arguments)
