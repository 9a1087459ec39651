import math

import pytest

from linnet.errors import InputError
from papers.verdict import Paired, all_of, mean_and_sd, paired


def test_differences_are_paired_by_hand():
    found = paired([3.0, 5.0], [2.0, 2.0])
    assert (found.mean, found.n, found.level) == (2.0, 2, 0.95)
    assert found.interval == pytest.approx((2 - 12.706204736, 2 + 12.706204736))
    assert paired([1.0], [0.5]) == Paired(0.5, None, 1)
    assert paired([], []) is None
    with pytest.raises(InputError, match="2 and 1 numbers"):
        paired([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("interval", "at_least", "said"),
    [
        ((0.01, 0.03), 0.0, "holds"),
        ((-0.03, -0.01), 0.0, "does not hold"),
        ((-0.01, 0.03), 0.0, "not decided"),
        ((-0.004, 0.0), -0.005, "holds"),
        ((-0.02, -0.006), -0.005, "does not hold"),
        ((-0.006, 0.01), -0.005, "not decided"),
        (None, 0.0, "not decided"),
    ],
)
def test_an_interval_on_one_side_decides(interval, at_least, said):
    assert Paired(0.0, interval, 5).verdict(at_least=at_least) == said


def test_a_claim_of_parts_fails_with_any_of_them():
    assert all_of(["holds", "not decided", "does not hold"]) == "does not hold"
    assert all_of(["holds", "not decided"]) == "not decided"
    assert all_of(["holds", "holds"]) == "holds"
    assert all_of([]) == "not run"


def test_mean_and_sd():
    assert mean_and_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert math.isnan(mean_and_sd([1.0])[1])
    assert math.isnan(mean_and_sd([])[0])
