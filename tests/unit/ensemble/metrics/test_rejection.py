"""The rejection curve and its area: by hand, against a loop, and against all orders of tied answers."""

from itertools import permutations

import numpy as np
import pytest

from linnet.ensemble import aurc, e_aurc, rejection_curve


def slow_aurc(right):
    """Of answers that stand in order, surest first."""
    return sum(sum(not r for r in right[:k]) / k for k in range(1, len(right) + 1)) / len(right)


def test_it_is_that_of_a_sorted_loop():
    generator = np.random.default_rng(0)
    confidence, right = generator.permutation(40) / 40, generator.random(40) < 0.7
    ordered = [bool(right[k]) for k in np.argsort(-confidence)]
    assert aurc(confidence, right) == pytest.approx(slow_aurc(ordered), abs=1e-14)
    best = slow_aurc(sorted(ordered, reverse=True))
    assert e_aurc(confidence, right) == pytest.approx(slow_aurc(ordered) - best, abs=1e-14)


def test_tied_answers_count_as_the_mean_over_their_orders():
    confidence, right = [0.9, 0.5, 0.5, 0.5, 0.1], [True, False, True, False, True]
    tied = [slow_aurc([True, *middle, True]) for middle in permutations([False, True, False])]
    assert aurc(confidence, right) == pytest.approx(sum(tied) / len(tied), abs=1e-14)
    assert aurc([0.5] * 4, [True, False, False, True]) == pytest.approx(0.5)


def test_one_sample_all_right_all_wrong():
    assert (aurc([0.0], [True]), aurc([1.0], [False])) == (0.0, 1.0)
    assert e_aurc([0.3, 0.4], [False, False]) == 0.0
    assert e_aurc([0.4, 0.3], [True, False]) == 0.0


def test_the_curve_ends_at_the_error_of_all():
    curve = rejection_curve([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 0, 1])
    assert curve.kept.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert curve.error.tolist() == pytest.approx([0, 0, 1 / 3])
