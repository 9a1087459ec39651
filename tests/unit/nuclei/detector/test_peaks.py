import numpy as np
import pytest
import torch

from linnet.nuclei.detector.peaks import find_peaks, keep_apart, to_points


def peaks(rows, *, threshold=0.0, window=1):
    cells, heights = find_peaks(torch.tensor(rows, dtype=torch.float32), threshold=threshold, window=window)
    return cells.tolist(), heights.tolist()


def slow_peaks(logit, threshold, window):
    """By the definition, cell by cell."""

    def highest(y, x):
        return logit[max(0, y - window) : y + window + 1, max(0, x - window) : x + window + 1].max()

    h, w = logit.shape
    best = [(y, x) for y in range(h) for x in range(w) if logit[y, x] > threshold and logit[y, x] == highest(y, x)]
    return [
        (y, x) for k, (y, x) in enumerate(best) if not any(max(abs(y - b), abs(x - c)) <= window for b, c in best[:k])
    ]


def test_a_peak_is_the_highest_of_its_window_and_above_the_threshold():
    rows = [[0, 0, 0, 0, 0], [0, 5, 4, 0, 3], [0, 0, 0, 0, 0]]
    assert peaks(rows) == ([[1, 1], [1, 4]], [5.0, 3.0])
    assert peaks(rows, threshold=3.0) == ([[1, 1]], [5.0])  # above, not at
    assert peaks(rows, window=3) == ([[1, 1]], [5.0])


def test_the_first_of_a_plateau_stays():
    assert peaks([[2, 2, 0], [2, 2, 0], [0, 0, 0]])[0] == [[0, 0]]
    assert peaks([[0, 2], [2, 0]])[0] == [[0, 1]]


def test_a_plateau_on_the_slope_of_a_higher_peak_is_none():
    assert peaks([[9, 5, 5, 0, 0]])[0] == [[0, 0], [0, 2]]
    assert peaks([[9, 5, 0, 5, 9]])[0] == [[0, 0], [0, 4]]


def test_the_border_is_no_peak_by_itself_and_hides_none():
    assert peaks([[-1, -2], [-2, -3]], threshold=-10.0)[0] == [[0, 0]]
    assert peaks([[0, 0], [0, 7]])[0] == [[1, 1]]
    assert peaks([[-5.0]])[0] == []


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("levels", [3, 6, 1000])
def test_against_the_slow_definition(window, levels):
    rng = np.random.default_rng(window * levels)
    logit = rng.integers(0, levels, (23, 31)).astype(np.float32)
    found, heights = find_peaks(torch.from_numpy(logit), threshold=0.5, window=window)
    assert [tuple(c) for c in found.tolist()] == slow_peaks(logit, 0.5, window)
    assert np.array_equal(heights, logit[tuple(found.T)])


def test_cells_become_points():
    cells = np.array([[0, 0], [3, 5]])
    assert to_points(cells, None, 1).tolist() == [[0, 0], [3, 5]]
    assert to_points(cells, None, 2).tolist() == [[0.5, 0.5], [6.5, 10.5]]
    assert to_points(cells, None, 4).tolist() == [[1.5, 1.5], [13.5, 21.5]]
    assert to_points(cells, np.array([[0.25, -0.5], [0, 1]]), 4).tolist() == [[2.5, -0.5], [13.5, 25.5]]


def test_of_two_close_points_the_higher_stays():
    points = np.array([[0.0, 0.0], [0.0, 3.0], [0.0, 10.0]])
    assert keep_apart(points, np.array([1.0, 2.0, 0.5]), 4.0).tolist() == [1, 2]
    assert keep_apart(points, np.array([1.0, 2.0, 0.5]), 3.0).tolist() == [0, 1, 2]  # nearer than, not at
    assert keep_apart(points, np.array([1.0, 1.0, 1.0]), 4.0).tolist() == [0, 2]  # equal: the first in (y, x) order
    assert keep_apart(points, np.array([1.0, 2.0, 0.5]), 0.0).tolist() == [0, 1, 2]


def test_a_point_that_went_removes_none():
    points = np.array([[0.0, 6.0], [0.0, 3.0], [0.0, 0.0]])
    assert keep_apart(points, np.array([3.0, 2.0, 1.0]), 4.0).tolist() == [2, 0]  # indices, sorted by (y, x)


def test_keeping_apart_against_the_slow_definition():
    rng = np.random.default_rng(8)
    points, score = rng.integers(0, 60, (150, 2)) / 2, rng.integers(0, 5, 150).astype(float)
    kept = []
    for k in sorted(range(150), key=lambda k: (-score[k], *points[k])):
        if all(np.hypot(*(points[k] - points[j])) >= 3.5 for j in kept):
            kept.append(k)
    assert sorted(keep_apart(points, score, 3.5).tolist()) == sorted(kept)


def test_no_points():
    assert keep_apart(np.zeros((0, 2)), np.zeros(0), 4.0).tolist() == []
