"""ECE by hand, at the edges where others fail, and against a loop over bins."""

import math

import numpy as np
import pytest
import torch

from linnet.ensemble import classwise_ece, ece, ece_debiased, ece_debiased_interval
from linnet.errors import InputError


def slow_bins(confidence, right, bins):
    parts = {}
    for c, r in zip(confidence, right, strict=True):
        place = min(max(math.ceil(c * bins) - 1, 0), bins - 1)
        parts.setdefault(place, []).append((c, bool(r)))
    for members in parts.values():
        yield len(members), sum(c for c, _ in members) / len(members), sum(r for _, r in members) / len(members)


@pytest.fixture
def answers():
    generator = np.random.default_rng(0)
    confidence = np.concatenate([generator.random(300), [0.0, 1.0, 1 / 15, 2 / 15, 0.2, 1.0]])
    return confidence, generator.random(306) < confidence**2


@pytest.mark.parametrize("bins", [1, 2, 15, 400])
def test_it_is_that_of_a_loop_over_the_bins(answers, bins):
    slow = sum(n / 306 * abs(c - r) for n, c, r in slow_bins(*answers, bins))
    debiased = sum(
        n / 306 * max(0, (c - r) ** 2 - r * (1 - r) / max(n - 1, 1)) for n, c, r in slow_bins(*answers, bins)
    )
    assert ece(*answers, bins=bins) == pytest.approx(slow, abs=1e-13)
    assert ece_debiased(*answers, bins=bins) == pytest.approx(math.sqrt(debiased), abs=1e-13)


def test_confidence_of_exactly_zero_and_one_has_a_bin():
    assert ece([0.0], [False]) == 0.0
    assert ece([0.0], [True]) == 1.0
    assert ece([1.0], [True]) == 0.0
    assert ece([1.0, 0.99], [True, False], bins=15) == pytest.approx(abs((1 + 0.99) / 2 - 0.5))  # one bin, not two
    assert ece(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])) == 0.5


def test_a_bin_holds_its_upper_edge():
    # 0.5 belongs to the first of two bins, so its error doesn't cancel that of 0.75
    assert ece([0.5, 0.75], [True, False], bins=2) == pytest.approx((0.5 + 0.75) / 2)


def test_the_debiased_error_of_a_calibrated_classifier_is_nearer_to_zero():
    generator = np.random.default_rng(3)
    confidence = generator.random(500)
    right = generator.random(500) < confidence
    assert ece_debiased(confidence, right) < math.sqrt(
        sum(n / 500 * (c - r) ** 2 for n, c, r in slow_bins(confidence, right, 15))
    )
    low, high = ece_debiased_interval(confidence, right, draws=50)
    assert 0 <= low <= high <= 1
    assert (low, high) == ece_debiased_interval(confidence, right, draws=50)


def test_the_interval_covers_a_planted_error():
    generator = np.random.default_rng(4)
    confidence = np.full(2000, 0.9)
    low, high = ece_debiased_interval(confidence, generator.random(2000) < 0.7)
    assert low < 0.2 < high
    assert high - low < 0.06


def test_class_by_class_is_that_of_a_loop_and_an_absent_class_counts():
    probs = np.random.default_rng(5).dirichlet(np.ones(3), size=80)
    labels = np.arange(80) % 2  # class 2 is absent
    slow = 0.0
    for c in range(3):
        slow += sum(n / 80 * abs(conf - hit) for n, conf, hit in slow_bins(probs[:, c], labels == c, 15)) / 3
    assert classwise_ece(probs, labels) == pytest.approx(slow, abs=1e-13)


@pytest.mark.parametrize(
    ("confidence", "right", "said"),
    [
        ([1.2], [True], r"0\.\.1"),
        ([-0.1], [True], "softmax"),
        ([float("nan")], [True], "`probs_or_confidence`"),
        ([0.5], [3], "booleans"),
        ([0.5], [0.5], "booleans"),
        ([0.5, 0.5], [True], "`labels_or_correct`"),
        ([], [], "`labels_or_correct`"),
    ],
)
def test_bad_input_is_refused(confidence, right, said):
    for score in (ece, ece_debiased):
        with pytest.raises(InputError, match=said):
            score(confidence, right)


def test_no_bin_and_no_level_are_refused():
    for score in (ece, ece_debiased):
        with pytest.raises(InputError, match="`bins`"):
            score([0.5], [True], bins=0)
    with pytest.raises(InputError, match="`bins`"):
        classwise_ece([[0.5, 0.5]], [0], bins=0)
    with pytest.raises(InputError, match="`level`"):
        ece_debiased_interval([0.5], [True], level=1.0)
