import numpy as np

from linnet.nuclei.scoring.matching import match


def of(*points):
    return np.array(points, dtype=float).reshape(-1, 2)


def test_the_greedy_trap_gives_two_pairs():
    matching = match(of((0, 0), (0, 6)), of((0, 4.5), (0, 10.5)), 5.0)
    assert matching.pairs.tolist() == [[0, 0], [1, 1]]
    assert matching.distances.tolist() == [4.5, 4.5]


def test_a_distance_of_exactly_the_radius_counts():
    assert match(of((0, 0)), of((3, 4)), 5.0).distances.tolist() == [5.0]
    assert match(of((0, 0)), of((3, 4)), np.nextafter(5.0, 0)).pairs.tolist() == []
    # 0.1 + 0.2 != 0.3: the radius is compared with the computed distance, whatever the search tree rounds to.
    assert len(match(of((0, 0.1)), of((0, 0.4)), 0.4 - 0.1).pairs) == 1


def test_of_equally_many_pairs_the_nearer_ones_are_taken():
    matching = match(of((0, 0), (0, 4)), of((0, 1), (0, 3)), 5.0)
    assert matching.pairs.tolist() == [[0, 0], [1, 1]]
    assert matching.distances.tolist() == [1.0, 1.0]


def test_one_pair_more_beats_any_distance():
    # Nearest-first would take the 0 between (0, 5) and (0, 5) and leave two points alone.
    matching = match(of((0, 0), (0, 5)), of((0, 5), (0, 10)), 5.0)
    assert matching.pairs.tolist() == [[0, 0], [1, 1]]
    assert matching.distances.tolist() == [5.0, 5.0]


def test_pairs_are_sorted_by_truth_over_components():
    truth = of((100, 0), (0, 0), (50, 0))
    matching = match(truth, of((0, 1), (51, 0), (102, 0)), 5.0)
    assert matching.pairs.tolist() == [[0, 2], [1, 0], [2, 1]]
    assert matching.distances.tolist() == [2.0, 1.0, 1.0]


def test_empty_sides_and_radius_zero():
    nothing = np.zeros((0, 2))
    for truth, found in [(nothing, of((1, 1))), (of((1, 1)), nothing), (nothing, nothing), (of((0, 0)), of((9, 9)))]:
        matching = match(truth, found, 5.0)
        assert matching.pairs.shape == (0, 2)
        assert matching.distances.shape == (0,)
    assert match(of((1, 2), (3, 4)), of((3, 4), (1, 2)), 0.0).pairs.tolist() == [[0, 1], [1, 0]]


def test_a_huge_radius_does_not_cancel():
    """Every point in one component, costs near 1e9: the differences of 1e-3 between assignments must still count."""
    truth, found = of((0, 0), (0, 1e-3)), of((0, 1e-3), (0, 0))
    assert match(truth, found, 1e9).pairs.tolist() == [[0, 1], [1, 0]]


def test_two_thousand_crowded_points_are_matched_one_to_one():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 700, (2000, 2))
    matching = match(truth, truth[::-1] + rng.uniform(-0.4, 0.4, (2000, 2)), 5.0)
    assert len(np.unique(matching.pairs[:, 1])) == len(matching.pairs) >= 1990
    assert matching.distances.max() <= 5.0
