"""The hint that another size of the image would suit the detector better."""

import numpy as np
import pytest

from linnet.nuclei.detector.scale import better_scale, doubtful


def finder(means: dict[float, float], n: int = 8):
    """A detector whose points have a given mean score at each scale, and that notes the parts it saw."""
    seen: dict[float, tuple[int, ...]] = {}

    def find(part: np.ndarray, scale: float) -> np.ndarray:
        seen[scale] = part.shape
        return np.full(n if means.get(scale, 0) else 0, means.get(scale, 0.0))

    return find, seen


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({1.0: 0.50, 0.25: 0.45, 0.5: 0.48, 2.0: 0.60}, 2.0),
        ({1.0: 0.50, 0.25: 0.58, 0.5: 0.56, 2.0: 0.47}, 0.25),
        ({1.0: 0.50, 0.5: 0.52, 2.0: 0.53}, None),  # not clearly better
        ({1.0: 0.60, 0.5: 0.50, 2.0: 0.55}, None),  # the image is right as it is
        ({2.0: 0.55}, 2.0),  # nothing at all at scale 1
        ({}, None),  # nothing anywhere
    ],
)
def test_the_clearly_better_scale_is_named(means, expected):
    find, _ = finder(means)
    assert better_scale(find, np.zeros((100, 100))) == expected


def test_a_few_points_say_nothing():
    find, _ = finder({1.0: 0.5, 2.0: 0.9}, n=4)
    assert better_scale(find, np.zeros((100, 100))) is None


def test_each_scale_sees_a_central_part_of_bounded_size():
    find, seen = finder({})
    better_scale(find, np.zeros((3000, 700, 3)))
    assert seen == {1.0: (512, 512, 3), 0.25: (2048, 700, 3), 0.5: (1024, 700, 3), 2.0: (256, 256, 3)}


def test_few_or_low_scores_raise_the_question():
    assert doubtful(np.full(20, 0.5), threshold=0.42)
    assert doubtful(np.full(4, 0.9), threshold=0.42)
    assert not doubtful(np.full(20, 0.53), threshold=0.42)
