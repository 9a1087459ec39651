import math

import numpy as np
import pytest
from scipy import stats

from linnet.errors import InputError
from linnet.results import mean_interval, share_interval, t_interval


def test_share_interval_solves_wilsons_equation():
    # Both ends satisfy |p - s| = z sqrt(s (1 - s) / n), which is what the closed form was solved from.
    z = 1.959963984540054
    for hits, n in [(1, 3), (7, 10), (450, 1000)]:
        for end in share_interval(hits, n):
            assert abs(hits / n - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), abs=1e-12)


def test_share_interval_at_the_ends_is_exact():
    low, high = share_interval(0, 10)
    assert (low, high) == (0.0, pytest.approx(1 / (1 + 10 / 1.959963984540054**2)))
    assert share_interval(10, 10) == (pytest.approx(1 - high), 1.0)


def test_share_interval_covers_as_often_as_it_says():
    counts = np.random.default_rng(1).binomial(40, 0.9, size=4000)
    inside = [low <= 0.9 <= high for low, high in (share_interval(int(hits), 40) for hits in counts)]
    assert 0.93 < np.mean(inside) < 0.98


def test_mean_interval_by_hand_and_by_level():
    low, high = mean_interval([1.0, 2.0, 3.0], level=0.95)  # s = 1
    assert (low + high) / 2 == pytest.approx(2.0)
    assert high - low == pytest.approx(2 * 1.959963984540054 / math.sqrt(3))
    wide = mean_interval([1.0, 2.0, 3.0], level=0.99)
    assert wide[0] < low
    assert high < wide[1]


@pytest.mark.parametrize(("hits", "n"), [(1, 0), (-1, 3), (4, 3)])
def test_share_interval_refuses_what_is_no_share(hits, n):
    with pytest.raises(InputError, match="hits"):
        share_interval(hits, n)


def test_refuses_too_few_values_and_levels_that_are_none():
    with pytest.raises(InputError, match="values"):
        mean_interval([1.0])
    with pytest.raises(InputError, match="`level`"):
        share_interval(1, 2, level=1)


def test_t_interval_of_two_values_by_hand():
    # Mean 2, s = sqrt(2), s / sqrt(n) = 1; t of one degree is tan(pi (0.975 - 0.5)) = 12.7062.
    low, high = t_interval([1.0, 3.0])
    assert (low, high) == pytest.approx((2 - 12.706204736, 2 + 12.706204736))


def test_t_interval_covers_and_tends_to_the_normal_one():
    scipy_says = stats.t.interval(0.9, 4, loc=3.0, scale=stats.sem([1, 2, 3, 4, 5]))
    assert t_interval([1, 2, 3, 4, 5], level=0.9) == pytest.approx(scipy_says)
    many = [float(value % 7) for value in range(4000)]
    assert t_interval(many) == pytest.approx(mean_interval(many), rel=1e-3)
    with pytest.raises(InputError, match="values"):
        t_interval([1.0])
