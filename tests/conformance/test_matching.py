"""The matching per component against two independent definitions: all assignments, and one dense Hungarian."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from linnet.nuclei.scoring.matching import match


def best_of_all_assignments(truth, found, radius):
    """(pairs, total distance): every injective partial assignment is tried."""
    d = cdist(truth, found)
    if len(truth) > len(found):
        d = d.T
    best = (0, 0.0)
    for columns in itertools.permutations(range(d.shape[1]), d.shape[0]):
        near = [d[i, j] for i, j in enumerate(columns) if d[i, j] <= radius]
        best = max(best, (len(near), -sum(near)))
    return best[0], -best[1]


def dense_hungarian(truth, found, radius):
    d = cdist(truth, found)
    cost = np.where(d <= radius, d, radius * (min(d.shape) + 1))
    near = d[linear_sum_assignment(cost)]
    near = near[near <= radius]
    return len(near), near.sum()


def greedy(truth, found, radius):
    """Nearest first: the planted fault."""
    d = cdist(truth, found)
    pairs = 0
    while d.size and d.min() <= radius:
        i, j = np.unravel_index(d.argmin(), d.shape)
        d[i, :], d[:, j], pairs = np.inf, np.inf, pairs + 1
    return pairs, 0.0


def assert_best(matching, truth, found, radius, expected):
    pairs, total = expected
    assert len(matching.pairs) == pairs
    assert matching.distances.sum() == pytest.approx(total, abs=1e-9)
    for column in matching.pairs.T:
        assert len(set(column.tolist())) == pairs
    d = np.linalg.norm(truth[matching.pairs[:, 0]] - found[matching.pairs[:, 1]], axis=1)
    np.testing.assert_allclose(matching.distances, d, atol=1e-12)
    assert (d <= radius).all()


@pytest.mark.parametrize("seed", range(60))
def test_small_sets_against_all_assignments(seed):
    rng = np.random.default_rng(seed)
    t, p = rng.integers(0, 6), rng.integers(0, 6)
    side = rng.choice([6.0, 12.0])
    truth, found = rng.uniform(0, side, (t, 2)), rng.uniform(0, side, (p, 2))
    if seed % 2:  # on a grid: many equal distances, many exactly at the radius
        truth, found = np.round(truth), np.round(found)
    assert_best(match(truth, found, 5.0), truth, found, 5.0, best_of_all_assignments(truth, found, 5.0))


@pytest.mark.parametrize(("n", "side"), [(50, 60), (150, 80), (300, 400), (300, 150)])
def test_larger_sets_against_one_dense_hungarian(n, side):
    rng = np.random.default_rng(n + side)
    truth, found = rng.uniform(0, side, (n, 2)), rng.uniform(0, side, (n + n // 5, 2))
    assert_best(match(truth, found, 5.0), truth, found, 5.0, dense_hungarian(truth, found, 5.0))


def test_the_order_of_points_and_the_sides_do_not_matter():
    rng = np.random.default_rng(9)
    truth, found = rng.uniform(0, 70, (80, 2)), rng.uniform(0, 70, (90, 2))
    expected = dense_hungarian(truth, found, 5.0)
    shuffled = rng.permutation(truth)
    assert_best(match(shuffled, found[::-1], 5.0), shuffled, found[::-1], 5.0, expected)
    assert_best(match(found, truth, 5.0), found, truth, 5.0, expected)


def test_nearest_first_is_told_apart():
    """The planted fault: greedy strands pairs in crowded sets, and the check above sees it."""
    rng = np.random.default_rng(0)
    truth, found = rng.uniform(0, 60, (80, 2)), rng.uniform(0, 60, (80, 2))
    with pytest.raises(AssertionError):
        assert_best(match(truth, found, 5.0), truth, found, 5.0, greedy(truth, found, 5.0))
