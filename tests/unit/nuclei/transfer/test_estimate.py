"""Means over seeds and pictures, paired differences and their intervals, beside a slow loop."""

import numpy as np
import pytest

from linnet.nuclei.transfer.counts import Counts
from linnet.nuclei.transfer.estimate import Estimate, difference, f1_estimate, mean_of


def counts(rng, pictures=6):
    return Counts(tuple(map(str, range(pictures))), rng.integers(1, 30, (pictures, 3)))


def test_the_mean_and_the_interval_are_those_of_a_slow_loop():
    rng = np.random.default_rng(3)
    by_seed = {seed: counts(rng) for seed in range(4)}
    found = f1_estimate(by_seed, target="a")
    pooled = [2 * t[0] / (2 * t[0] + t[1] + t[2]) for t in (c.table.sum(axis=0) for c in by_seed.values())]
    assert found.mean == pytest.approx(np.mean(pooled), abs=1e-12)
    draws = []
    for _ in range(4000):
        pictures, seeds = rng.integers(0, 6, 6), rng.integers(0, 4, 4)
        sums = [by_seed[int(seed)].table[pictures].sum(axis=0) for seed in seeds]
        draws.append(np.mean([2 * s[0] / (2 * s[0] + s[1] + s[2]) for s in sums]))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.interval() == pytest.approx((low, high), abs=0.01)  # 4,000 draws: 0.004 at most in 20 trials
    assert (found.seeds, found.pictures) == (4, 6)


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    ours = {seed: counts(rng) for seed in range(3)}
    same = difference(ours, dict(ours), target="a")
    assert same.mean == 0
    assert same.interval() == (0, 0)
    assert same.standing(0.01) == "level"
    assert difference(ours, {7: counts(rng)}, target="a") is None
    part = difference(ours, {1: ours[1], 9: ours[0]}, target="a")
    assert (part.mean, part.seeds) == (0, 1)


@pytest.mark.parametrize(
    ("middle", "spread", "standing"),
    [
        (0.0, 0.002, "level"),
        (0.006, 0.001, "level"),
        (0.05, 0.01, "better"),
        (-0.05, 0.01, "worse"),
        (0.0, 0.05, "not decided"),
    ],
)
def test_a_difference_is_level_better_worse_or_undecided(middle, spread, standing):
    draws = np.random.default_rng(1).normal(middle, spread, 2000)
    assert Estimate(middle, draws, 3, 9).standing(0.01) == standing


def test_one_seed_and_one_picture_have_no_interval():
    found = f1_estimate({0: Counts(("p",), np.array([[5, 1, 1]]))}, target="a")
    assert (found.mean, found.interval(), found.standing(0.01)) == (10 / 12, None, "not decided")
    assert mean_of([]) is None
    assert mean_of([found, found]).interval() is None
