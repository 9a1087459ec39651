"""Prediction sets: thresholds by hand, coverage on exchangeable data, and every refusal."""

import math

import numpy as np
import pytest
import torch

from linnet.ensemble import Conformal
from linnet.ensemble.calibration.conformal import _uniform, smallest_n
from linnet.errors import InputError


def exchangeable(samples, classes=5, seed=0):
    generator = np.random.default_rng(seed)
    probs = generator.dirichlet(np.full(classes, 0.5), size=samples)
    labels = np.array([generator.choice(classes, p=p) for p in probs])
    return probs, labels


def test_the_threshold_of_lac_is_an_order_statistic():
    probs = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    found = Conformal.fit(probs, [0, 1, 0, 1], alpha=0.4)  # scores .1 .6 .3 .2; the ceil(5 * 0.6) = 3rd smallest
    assert found.threshold == pytest.approx(0.3)
    assert found.sets(np.array([[0.7, 0.3], [0.69, 0.31], [0.5, 0.5]])).tolist() == [
        [True, False],
        [False, False],
        [False] * 2,
    ]


def slow_sets(probs, threshold, *, penalty, free):
    found = []
    for p in probs:
        order = sorted(range(len(p)), key=lambda c: -p[c])
        mass, own = 0.0, [False] * len(p)
        for rank, c in enumerate(order, start=1):
            mass += p[c]
            own[c] = mass + penalty * max(rank - free, 0) <= threshold
        found.append(own)
    return found


@pytest.mark.parametrize(("method", "penalty", "free"), [("aps", 0.0, 0), ("raps", 0.05, 1)])
def test_cumulative_scores_are_those_of_a_loop(method, penalty, free):
    probs, labels = exchangeable(60)
    found = Conformal.fit(probs, labels, 0.2, method, penalty=penalty, free_ranks=free, randomised=False)
    scores = []
    for p, y in zip(probs, labels, strict=True):
        rank = 1 + sum(q > p[y] for q in p)
        scores.append(sum(q for q in p if q >= p[y]) + penalty * max(rank - free, 0))
    assert found.threshold == pytest.approx(sorted(scores)[math.ceil(61 * 0.8) - 1])
    new, _ = exchangeable(20, seed=1)
    assert found.sets(new).tolist() == slow_sets(new, found.threshold, penalty=penalty, free=free)


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_the_true_class_is_covered_as_often_as_promised(method):
    covered, n, new = [], 99, 400
    for seed in range(20):
        probs, labels = exchangeable(n + new, seed=seed)
        found = Conformal.fit(probs[:n], labels[:n], 0.1, method, rng_seed=seed)
        share, size = found.coverage(probs[n:], labels[n:])
        covered.append(share)
        assert 0.5 < size < 5
    # coverage given one calibration set is Beta(90, 10): sd .03; over 20 sets .0067, and the new samples add .0034
    assert np.mean(covered) == pytest.approx(0.9, abs=4 * 0.0076)


def test_the_smallest_n_is_stated_and_with_it_all_is_well():
    probs, labels = exchangeable(200)
    for alpha, smallest in ((0.1, 9), (0.05, 19), (0.3, 3), (0.5, 1), (1 / 3, 2)):
        assert smallest_n(alpha) == smallest
        assert Conformal.fit(probs[:smallest], labels[:smallest], alpha).threshold < 1
        if smallest > 1:
            with pytest.raises(InputError, match=f"at least {smallest} samples"):
                Conformal.fit(probs[: smallest - 1], labels[: smallest - 1], alpha)
    everything = Conformal.fit(probs[:3], labels[:3], 0.1, too_few="all")
    assert everything.sets(probs).all()


def test_the_seed_decides_the_sets_and_tensors_stay_tensors():
    probs, labels = exchangeable(100)
    found = Conformal.fit(torch.tensor(probs), torch.tensor(labels), 0.1, "aps", rng_seed=4)
    assert found == Conformal.fit(probs, labels, 0.1, "aps", rng_seed=4)
    assert found != Conformal.fit(probs, labels, 0.1, "aps", rng_seed=5)
    sets = found.sets(torch.tensor(probs))
    assert sets.dtype == torch.bool
    assert np.array_equal(sets.numpy(), found.sets(probs))


def test_dense_sets_are_those_of_each_pixel():
    probs, labels = exchangeable(100)
    found = Conformal.fit(probs, labels, 0.2)
    dense = np.moveaxis(probs.reshape(4, 5, 5, 5), -1, 1)
    assert np.array_equal(np.moveaxis(found.sets(dense), 1, -1).reshape(100, 5), found.sets(probs))


PROBS, LABELS = exchangeable(30)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alpha": 0}, "`alpha`.*0"),
        ({"alpha": 1.0}, "`alpha`"),
        ({"alpha": -0.1}, "`alpha`"),
        ({"alpha": "0.1"}, "`alpha`"),
        ({"method": "apss"}, "`method`.*'lac'.*Did you mean 'aps'"),
        ({"penalty": -1.0}, "`penalty`"),
        ({"too_few": "warn"}, "`too_few`"),
        ({"probs": PROBS * 2}, "softmax"),
        ({"labels": LABELS + 5}, "`labels`"),
        ({"labels": LABELS.astype(float)}, "whole numbers"),
    ],
)
def test_bad_input_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        Conformal.fit(**({"probs": PROBS, "labels": LABELS} | options))


@pytest.mark.parametrize("method", ["aps", "raps"])
def test_a_sample_has_the_same_set_alone_and_among_others_and_coverage_holds_for_every_seed(method):
    probs, truth = exchangeable(4000, classes=8, seed=5)
    for seed in range(12):
        made = Conformal.fit(probs[:2000], truth[:2000], alpha=0.1, method=method, rng_seed=seed)
        sets = made.sets(probs[2000:])
        alone = np.concatenate([made.sets(row[None]) for row in probs[2000:2040]])
        assert np.array_equal(alone, sets[:40])
        assert 0.88 < made.coverage(probs[2000:], truth[2000:])[0] < 0.92


def test_u_is_spread_evenly():
    u = np.sort(_uniform(np.random.default_rng(0).dirichlet(np.ones(3), 20_000), 7)[:, 0])
    assert np.abs(u - np.arange(20_000) / 20_000).max() < 0.02
