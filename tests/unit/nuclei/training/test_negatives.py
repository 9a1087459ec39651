import numpy as np

from linnet.nuclei.training.negatives import GROUP, negatives


def test_negatives_are_pictures_without_a_nucleus_and_a_function_of_the_seed():
    first, again, other = negatives(1, blank=3, glass=2), negatives(1, blank=3, glass=2), negatives(2, blank=3, glass=2)
    assert len(first) == 3 + 2 + 8
    assert {image.group for image in first} == {GROUP}
    assert not any(len(image.points) or image.range.constant for image in first)
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.pixels, b.pixels)
    assert not any(np.array_equal(a.pixels, b.pixels) for a, b in zip(first[:5], other[:5], strict=True))
    assert [image.pixels.ndim for image in first[:5]] == [2, 2, 2, 3, 3]
    assert min(float(image.pixels.mean()) for image in first[3:5]) > 190
