import numpy as np
from scipy.spatial import KDTree

from linnet.nuclei.training.crowded import GROUP, crowded


def test_crowded_pictures_are_a_function_of_the_seed_and_the_place():
    several, again, other = crowded(1, pictures=2), crowded(1, pictures=1), crowded(2, pictures=1)
    assert [image.group for image in several] == [GROUP, GROUP]
    assert np.array_equal(several[0].pixels, again[0].pixels)
    assert np.array_equal(several[0].points, again[0].points)
    assert not np.array_equal(several[0].pixels, other[0].pixels)
    assert not np.array_equal(several[0].pixels, several[1].pixels)


def test_there_is_light_at_the_centres_and_the_nuclei_are_crowded():
    for image in crowded(3, pictures=4):
        assert image.pixels.shape == (320, 320)
        assert image.diameters.shape == (len(image.points),)
        assert np.all((image.points > -0.5) & (image.points < 319.5))
        shown = image.range.apply(image.pixels)
        y, x = image.points.round().astype(int).clip(0, 319).T
        assert np.median(shown[y, x]) > np.median(shown) + 0.05
        nearest = KDTree(image.points).query(image.points, 2)[0][:, 1]
        assert np.median(nearest) < 1.3 * np.median(image.diameters)


def test_some_pictures_have_a_subtracted_background():
    zeros = np.array([float((image.pixels == 0).mean()) for image in crowded(3, pictures=12)])
    assert 2 <= np.sum(zeros > 0.05) <= 8
