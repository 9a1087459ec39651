"""The Deep-Ensemble-Equivalent score by hand."""

import pytest

from linnet.ensemble import deep_ensemble_equivalent
from linnet.errors import InputError

DEEP = [0.60, 0.50, 0.46, 0.44]


@pytest.mark.parametrize(
    ("score", "members", "beyond"),
    [
        (0.60, 1.0, ""),
        (0.55, 1.5, ""),
        (0.50, 2.0, ""),
        (0.47, 2.75, ""),
        (0.44, 4.0, ""),
        (0.61, 1.0, "<"),
        (0.43, 4.0, ">"),
    ],
)
def test_it_is_linear_between_whole_numbers(score, members, beyond):
    found = deep_ensemble_equivalent(score, DEEP)
    assert found.members == pytest.approx(members)
    assert found.beyond == beyond
    assert found.most == 4


def test_it_is_written_as_a_number_or_a_bound():
    assert [str(deep_ensemble_equivalent(score, DEEP)) for score in (0.47, 0.7, 0.1)] == ["2.8", "<1", ">4"]


def test_the_band_is_that_of_one_deviation_over_seeds():
    table = [[0.62, 0.52, 0.42], [0.58, 0.48, 0.38]]  # mean .60 .50 .40, sd .0283
    found = deep_ensemble_equivalent(0.5, table)
    assert found.members == pytest.approx(2.0)
    assert found.band == pytest.approx((2 - 0.283, 2 + 0.283), abs=1e-3)


def test_more_members_that_score_worse_do_not_count():
    assert deep_ensemble_equivalent(0.45, [0.6, 0.5, 0.55, 0.4]).members == pytest.approx(3.5)


@pytest.mark.parametrize(("score", "deep"), [(0.5, []), (float("nan"), DEEP), (0.5, [0.5, float("inf")])])
def test_scores_that_are_none_are_refused(score, deep):
    with pytest.raises(InputError, match="`deep_scores`"):
        deep_ensemble_equivalent(score, deep)
