"""Bins of equal mass and the expected calibration error, counted by hand."""

import numpy as np
import pytest

from linnet.errors import InputError
from linnet.results import calibration_error, reliability


def test_bins_hold_equally_many_by_rising_confidence():
    confidence = np.array([0.9, 0.2, 0.8, 0.4, 0.6])
    right = np.array([True, False, False, True, True])
    bins = reliability(confidence, right, bins=2)
    assert [(one.n, one.right) for one in bins] == [(3, 2), (2, 1)]  # 0.2, 0.4, 0.6 and 0.8, 0.9
    assert [one.confidence for one in bins] == pytest.approx([0.4, 0.85])
    assert [one.accuracy for one in bins] == pytest.approx([2 / 3, 0.5])
    assert calibration_error(bins) == pytest.approx(3 / 5 * (2 / 3 - 0.4) + 2 / 5 * 0.35)


def test_a_calibrated_classifier_has_no_error_and_a_sure_wrong_one_has_all():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 200_000)
    right = generator.random(200_000) < confidence
    assert calibration_error(reliability(confidence, right)) < 0.006  # 15 bins, each +-0.004
    assert calibration_error(reliability(np.ones(30), np.zeros(30, dtype=bool))) == 1.0


def test_bins_of_equal_width_hold_their_upper_edge_and_both_ends():
    confidence = np.array([0.0, 0.25, 0.250001, 0.9, 1.0])
    bins = reliability(confidence, np.array([True, True, False, True, False]), bins=4, edges="width")
    assert [(one.n, one.right) for one in bins] == [(2, 2), (1, 0), (2, 1)]
    assert [one.confidence for one in bins] == pytest.approx([0.125, 0.250001, 0.95])
    with pytest.raises(InputError, match=r"`edges`.*mass"):
        reliability(confidence, np.ones(5, dtype=bool), edges="even")


def test_fewer_answers_than_bins_have_a_bin_each():
    assert [one.n for one in reliability(np.array([0.5, 0.7]), np.array([True, True]))] == [1, 1]


@pytest.mark.parametrize(
    ("confidence", "right", "bins", "said"),
    [
        ([0.5], [True, False], 15, r"`right`.*\(2,\)"),
        ([], [], 15, r"`confidence`.*\(0,\)"),
        ([1.5], [True], 15, "`confidence`"),
        ([float("nan")], [True], 15, "`confidence`"),
        ([0.5], [True], 0, "`bins`"),
    ],
)
def test_what_has_no_reliability_is_refused(confidence, right, bins, said):
    with pytest.raises(InputError, match=said):
        reliability(np.array(confidence), np.array(right, dtype=bool), bins=bins)
