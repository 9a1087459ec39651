"""AUROC and false alarms against loops over pairs, with ties."""

import numpy as np
import pytest

from linnet.ensemble import auroc, fpr95
from linnet.errors import InputError


def test_auroc_is_that_of_all_pairs():
    generator = np.random.default_rng(0)
    inside, outside = generator.integers(6, size=30), generator.integers(2, 8, size=20)
    pairs = [(o > i) + 0.5 * (o == i) for i in inside for o in outside]
    assert auroc(inside, outside) == pytest.approx(sum(pairs) / len(pairs), abs=1e-14)
    assert auroc(outside, inside) == pytest.approx(1 - sum(pairs) / len(pairs), abs=1e-14)


def test_equal_scores_tell_nothing():
    assert auroc([0.0, 0.0], [0.0]) == 0.5
    assert fpr95([0.0, 0.0], [0.0]) == 1.0
    assert (auroc([1], [2]), fpr95([1], [2])) == (1.0, 0.0)


def test_false_alarms_by_hand():
    outside = np.arange(20) / 20  # the 19 highest of 20 are 95 %: those of at least 0.05
    assert fpr95([0.0, 0.04, 0.05, 0.9], outside) == 0.5
    assert fpr95([0.0, 0.04, 0.05, 0.9], outside, caught=1.0) == 1.0


@pytest.mark.parametrize("score", [auroc, fpr95])
def test_nothing_and_nan_are_refused(score):
    with pytest.raises(InputError, match="`inside`"):
        score([], [1.0])
    with pytest.raises(InputError, match="`outside`"):
        score([1.0], [float("nan")])


def test_a_share_out_of_range_is_refused():
    with pytest.raises(InputError, match="`caught`"):
        fpr95([1.0], [1.0], caught=0)
