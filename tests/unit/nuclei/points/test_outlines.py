import numpy as np
import pytest

from linnet.nuclei.points.outlines import outline_centroid, turned


def twin(rings, step=0.01):
    """Mean of the centres of small squares inside an odd number of rings."""
    low, high = (np.min(np.concatenate(rings), axis=0), np.max(np.concatenate(rings), axis=0))
    a, b = np.meshgrid(*(np.arange(lo + step / 2, hi, step) for lo, hi in zip(low, high, strict=True)), indexing="ij")
    inside = np.zeros(a.shape, bool)
    for ring in rings:
        for (p, q), (r, s) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            crosses = (q > b) != (s > b)
            inside ^= crosses & (a < (r - p) * (b - q) / np.where(s == q, 1, s - q) + p)
    return a[inside].mean(), b[inside].mean()


def test_a_square_a_hole_and_two_pieces():
    square = [(0, 0), (4, 0), (4, 4), (0, 4)]
    assert outline_centroid([square]) == (2, 2)
    assert outline_centroid([[*square, square[0]]]) == (2, 2)  # closed
    hole = [(2, 0), (2, 4), (4, 4), (4, 0)]  # the other way round
    assert outline_centroid([square, hole]) == (1, 2)
    assert outline_centroid([square, [(10, 0), (14, 0), (14, 4), (10, 4)]]) == (7, 2)
    assert outline_centroid([[(3, 5)]]) == (3, 5)
    assert outline_centroid([[(0, 0), (4, 2)]]) == (2, 1)


def test_any_outline_against_counting():
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(1, 3, (9, 1))
    np.testing.assert_allclose(outline_centroid([ring]), twin([ring]), atol=5e-3)
    far = outline_centroid([ring + 1e7])
    np.testing.assert_allclose(np.array(far) - 1e7, outline_centroid([ring]), atol=1e-6)


@pytest.mark.parametrize("positive", [True, False])
def test_turned_has_the_direction_wanted(positive):
    ring = np.array([(0, 0), (1, 0), (1, 1)])
    for given in (ring, ring[::-1]):
        (a, b), (c, d), (e, f) = turned(given, positive=positive)
        assert ((c - a) * (f - b) - (e - a) * (d - b) > 0) == positive
