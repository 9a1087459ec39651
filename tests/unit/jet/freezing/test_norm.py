from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, strategies

from linnet.errors import FreezeError
from linnet.jet.freezing.norm import Norm, norm_of, scores_of, threshold_of

floats = strategies.floats(-50, 50, width=32)


def decimal_batch_norm(a, scale, shift, gamma, beta, mean, q):
    """A slow twin: the batch norm with 80 digits."""
    getcontext().prec = 80
    d = lambda f: Decimal(f.numerator) / Decimal(f.denominator)  # noqa: E731
    return d(gamma) * (d(scale) * a + d(shift) - d(mean)) / d(q).sqrt() + d(beta)


@given(
    floats, floats, floats, strategies.floats(2**-10, 100, width=32), strategies.sampled_from([1, Fraction(2, 255), -1])
)
def test_the_threshold_is_where_the_batch_norm_changes_its_sign(gamma, beta, mean, q, scale):
    norm = Norm((Fraction(gamma),), (Fraction(beta),), (Fraction(mean),), (Fraction(q),))
    low, high, shift = -40, 40, Fraction(1, 3)
    found = threshold_of(np.array([low]), np.array([high]), Fraction(scale), (shift,), norm)
    t, flip = int(found.thresholds[0]), bool(found.flips[0])
    assert low <= t <= high + 1
    for a in {max(low, t - 1), min(t, high), min(t + 1, high), low, high}:
        value = decimal_batch_norm(a, Fraction(scale), shift, *(Fraction(x) for x in (gamma, beta, mean, q)))
        assert ((a >= t) != flip) == (value > Decimal(10) ** -60 * -1)


@pytest.mark.parametrize(
    ("gamma", "beta", "bits"),
    [
        (1, 0, [0, 0, 1, 1]),  # a - 2 over 0..3: the tie at 2 is positive
        (-1, 0, [1, 1, 1, 0]),
        (0, 0, [1, 1, 1, 1]),
        (0, -1, [0, 0, 0, 0]),
        (0, 2, [1, 1, 1, 1]),
        (1, -1, [0, 0, 0, 1]),  # (a - 2) / 1 - 1: the tie at 3 is positive
        (1, 1, [0, 1, 1, 1]),
    ],
)
def test_ties_and_slopes_by_hand(gamma, beta, bits):
    norm = Norm((Fraction(gamma),), (Fraction(beta),), (Fraction(2),), (Fraction(1),))
    found = threshold_of(np.array([0]), np.array([3]), Fraction(1), (Fraction(0),), norm)
    assert [int((a >= found.thresholds[0]) != found.flips[0]) for a in range(4)] == bits


def test_without_a_norm_it_is_the_sign_of_the_value():
    found = threshold_of(np.array([-9]), np.array([9]), Fraction(1, 2), (Fraction(-1),), None)
    assert (found.thresholds[0], found.flips[0]) == (2, False)


@given(floats, floats, floats, strategies.floats(2**-10, 100, width=32))
def test_scores_lie_within_their_proven_error(gamma, beta, mean, q):
    norm = Norm((Fraction(gamma),), (Fraction(beta),), (Fraction(mean),), (Fraction(q),))
    low, high = np.array([-700]), np.array([700])
    scores = scores_of(low, high, Fraction(1), (Fraction(0),), norm)
    for a in (-700, -1, 0, 333, 700):
        score = int(scores.multipliers[0]) * a + int(scores.offsets[0])
        assert abs(score) < 2**30
        exact = decimal_batch_norm(a, Fraction(1), Fraction(0), *(Fraction(x) for x in (gamma, beta, mean, q)))
        assert abs(Decimal(score) * Decimal(2) ** -scores.shift - exact) <= Decimal(scores.error)


def test_scores_use_the_largest_shift_that_fits():
    norm = Norm((Fraction(1),), (Fraction(0),), (Fraction(0),), (Fraction(1),))
    scores = scores_of(np.array([-1]), np.array([1]), Fraction(1), (Fraction(0),), norm)
    assert scores.multipliers.tolist() == [2**29]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_with_the_layer(bad):
    one = torch.ones(1)
    with pytest.raises(FreezeError, match=r"`block\.bn\.running_var` holds NaN or infinity"):
        norm_of("block.bn", 1, one, one, one, torch.tensor([bad]), 1e-5)
    with pytest.raises(FreezeError, match="eps <= 0"):
        norm_of("bn", 1, one, one, one, torch.zeros(1), 0.0)
