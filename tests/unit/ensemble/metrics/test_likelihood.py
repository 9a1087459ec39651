"""NLL and Brier score against loops; absent classes, one sample, underflow, bad input."""

import math

import numpy as np
import pytest
import torch

from linnet.ensemble import brier, classwise_ece, ece, nll
from linnet.errors import InputError


@pytest.fixture
def probs():
    return np.random.default_rng(0).dirichlet(np.ones(4), size=50)


def test_they_are_those_of_a_loop(probs):
    labels = np.random.default_rng(1).integers(3, size=50)  # class 3 is absent
    slow_nll = -sum(math.log(p[y]) for p, y in zip(probs, labels, strict=True)) / 50
    slow_brier = sum(sum((p[c] - (c == y)) ** 2 for c in range(4)) for p, y in zip(probs, labels, strict=True)) / 50
    assert nll(probs, labels) == pytest.approx(slow_nll, abs=1e-13)
    assert brier(probs, labels) == pytest.approx(slow_brier, abs=1e-13)
    assert nll(torch.tensor(probs), torch.tensor(labels)) == pytest.approx(slow_nll, abs=1e-13)


def test_one_sample_by_hand():
    assert nll([[0.25, 0.75]], [0]) == pytest.approx(math.log(4))
    assert brier([[0.25, 0.75]], [0]) == pytest.approx(2 * 0.75**2)


def test_a_probability_of_zero_costs_the_most_and_not_infinity():
    assert nll(np.array([[0.0, 1.0]]), [0]) == pytest.approx(-math.log(np.finfo(np.float64).tiny))
    assert nll(torch.tensor([[0.0, 1.0]]), [0]) == pytest.approx(-math.log(np.finfo(np.float32).tiny))


def test_dense_pixels_are_samples(probs):
    labels = np.arange(50) % 4
    dense = np.moveaxis(probs.reshape(2, 5, 5, 4), -1, 1)
    for score in (nll, brier, ece, classwise_ece):
        assert score(dense, labels.reshape(2, 5, 5)) == pytest.approx(score(probs, labels), abs=1e-14)


HALF = [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("probs", "labels", "said"),
    [
        ([[2.0, -1.0]], [0], "softmax"),
        ([[1.0, 3.0]], [0], "softmax"),
        ([[0.5, 0.2]], [0], "sums from 0.7"),
        ([[float("nan"), 1.0]], [0], "`probs`"),
        ([0.5, 0.5], [0, 1], r"\(N, C\)"),
        ([[1.0]], [0], "two classes"),
        (np.zeros((0, 3)), [], r"\(N, C\)"),
        (HALF, [0.0, 1.0], "whole numbers.*float"),
        (HALF, [0, 2], "0 to 1.*2"),
        (HALF, [-1, 0], "`labels`"),
        (HALF, [0], "2 labels"),
    ],
)
@pytest.mark.parametrize("score", [nll, brier, classwise_ece])
def test_bad_input_is_refused(score, probs, labels, said):
    with pytest.raises(InputError, match=said):
        score(probs, labels)
