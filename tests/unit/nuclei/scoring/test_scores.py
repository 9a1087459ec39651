import math

import numpy as np
import pytest

from linnet.errors import PointsError
from linnet.nuclei.scoring.scores import evaluate

EMPTY = np.zeros((0, 2))


def of(*points):
    return np.array(points, dtype=float).reshape(-1, 2)


def scores(e):
    return (e.tp, e.fp, e.fn, e.precision, e.recall, e.f1)


def test_truth_against_itself_is_perfect():
    points = np.random.default_rng(1).uniform(0, 100, (40, 2))
    e = evaluate(points, points)
    assert scores(e) == (40, 0, 0, 1.0, 1.0, 1.0)
    assert (e.distance_mean, e.distance_sd, e.count_difference_mean, e.count_difference_sd) == (0.0, 0.0, 0.0, 0.0)


def test_nothing_found():
    e = evaluate(of((1, 1), (9, 9)), EMPTY)
    assert (e.tp, e.fp, e.fn, e.recall, e.f1, e.count_difference_mean) == (0, 0, 2, 0.0, 0.0, 2.0)
    assert math.isnan(e.precision)
    assert math.isnan(e.distance_mean)
    assert math.isnan(e.distance_sd)


def test_nothing_there():
    e = evaluate(EMPTY, of((1, 1)))
    assert (e.tp, e.fp, e.fn, e.precision, e.f1) == (0, 1, 0, 0.0, 0.0)
    assert math.isnan(e.recall)
    assert math.isnan(evaluate(EMPTY, EMPTY).f1)
    assert math.isnan(evaluate([], []).per_image[0].f1)


def test_the_greedy_trap():
    e = evaluate(of((0, 0), (0, 6)), of((0, 4.5), (0, 10.5)), radius_px=5.0)
    assert scores(e) == (2, 0, 0, 1.0, 1.0, 1.0)
    assert (e.distance_mean, e.distance_sd) == (4.5, 0.0)


def test_sums_are_pooled_over_images():
    truth = {"a": of((0, 0), (0, 20), (0, 40)), "b": of((0, 0)), "empty": EMPTY}
    found = {"a": of((0, 1), (0, 23), (60, 60)), "b": of((0, 0), (50, 50), (70, 70))}
    e = evaluate(truth, found)
    assert [(s.image, s.tp, s.fp, s.fn) for s in e.per_image] == [("a", 2, 1, 1), ("b", 1, 2, 0), ("empty", 0, 0, 0)]
    assert scores(e) == (3, 3, 1, 3 / 6, 3 / 4, 6 / 10)
    assert e.distance_mean == pytest.approx(4 / 3)
    assert e.distance_sd == pytest.approx(np.std([1, 3, 0]))  # population
    assert [s.count_difference for s in e.per_image] == [0, 2, 0]
    assert e.count_difference_mean == pytest.approx(2 / 3)
    assert e.count_difference_sd == pytest.approx(np.std([0, 2, 0]))
    assert e.per_image[0].f1 == 4 / 6
    assert scores(e.of({"b"})) == (1, 2, 0, 1 / 3, 1.0, 0.5)


def test_an_empty_image_adds_nothing():
    truth, found = {"a": of((0, 0))}, {"a": of((0, 0), (30, 30))}
    more = evaluate({**truth, "none": EMPTY}, found)
    assert scores(more) == scores(evaluate(truth, found))
    assert more.count_difference_mean == 0.5  # but it is an image whose count was right


def test_the_interval_keeps_crops_of_one_picture_together():
    """Mosaic A is perfect, B has nothing: draws of two mosaics give F1 0, 1/2 or 1 and nothing between."""
    truth = {f"{m}{k}": of((0, 0), (0, 20)) for m in "AB" for k in range(5)}
    found = {f"A{k}": of((0, 0), (0, 20)) for k in range(5)} | {f"B{k}": of((50, 50), (90, 90)) for k in range(5)}
    e = evaluate(truth, found)
    mosaics = {name: name[0] for name in truth}
    drawn = []
    lo, hi = e.interval(mosaics, metric=lambda draw: drawn.append(draw.f1) or draw.f1)
    assert set(drawn) == {0.0, 0.5, 1.0}
    assert (lo, hi) == (0.0, 1.0)
    share = np.bincount((2 * np.array(drawn)).astype(int)) / len(drawn)
    np.testing.assert_allclose(share, [0.25, 0.5, 0.25], atol=0.06)  # 1000 draws: 4 standard deviations
    by_image = e.interval({name: name for name in truth})
    assert 0.1 < by_image[0] < 0.5 < by_image[1] < 0.9
    assert e.interval(mosaics, rng_seed=3) == e.interval(mosaics, rng_seed=3)


def test_intervals_are_nested_and_undefined_draws_are_left_out():
    rng = np.random.default_rng(0)
    truth = {str(k): rng.uniform(0, 60, (6, 2)) for k in range(12)}
    found = {k: v + rng.normal(0, 3, v.shape) for k, v in truth.items()}
    e = evaluate(truth, found)
    clusters = {k: k for k in truth}
    (lo5, hi5), (lo9, hi9) = e.interval(clusters, level=0.5), e.interval(clusters, level=0.9)
    assert lo9 <= lo5 <= e.f1 <= hi5 <= hi9
    nothing = evaluate({"a": EMPTY, "b": EMPTY}, {})
    assert all(math.isnan(v) for v in nothing.interval({"a": 0, "b": 0}))


def test_an_image_without_a_cluster_is_named():
    e = evaluate({"a": of((0, 0)), "b": of((0, 0))}, {})
    with pytest.raises(PointsError, match=r"`clusters`.*'b'"):
        e.interval({"a": 1})


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, math.inf])
def test_a_radius_must_be_positive_and_finite(radius):
    with pytest.raises(PointsError, match="`radius_px`"):
        evaluate(EMPTY, EMPTY, radius)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((3, 3)), r"`found`.*\(3, 3\)"),
        (np.zeros(4), r"`found`.*\(4,\)"),
        (of((0, math.nan)), "`found`"),
        (of((0, math.inf)), "`found`"),
        ([["y", "x"]], "`found`"),
        ([[1, 2], [3]], "`found`"),
    ],
)
def test_bad_points_are_refused(bad, message):
    with pytest.raises(PointsError, match=message):
        evaluate(EMPTY, bad)


def test_found_images_without_truth_are_named():
    with pytest.raises(PointsError, match="'c'"):
        evaluate({"a": EMPTY, "b": EMPTY}, {"a": EMPTY, "c": EMPTY})


def test_one_cluster_has_no_interval():
    e = evaluate({"a": np.array([[1.0, 1.0]]), "b": np.array([[5.0, 5.0]])}, {"a": np.array([[1.0, 1.0]])})
    assert all(math.isnan(end) for end in e.interval({"a": "picture", "b": "picture"}))


class TestFiles:
    @pytest.fixture
    def folders(self, tmp_path):
        for folder, name in (("truth", "a"), ("found", "b")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / f"{name}.csv").write_text("y,x\n1,1\n")
        return tmp_path / "truth", tmp_path / "found"

    def test_two_files_that_are_named_are_a_pair(self, folders):
        truth, found = folders
        assert evaluate(truth / "a.csv", found / "b.csv").tp == 1
        assert evaluate(truth / "a.csv", of((1, 1))).tp == 1

    def test_files_of_two_folders_are_not_paired_by_being_alone(self, folders):
        truth, found = folders
        for sides in ((truth, found), (truth / "a.csv", found), (truth, found / "b.csv")):
            with pytest.raises(PointsError, match="no truth"):
                evaluate(*sides)
        (found / "b.csv").rename(found / "a.csv")
        for sides in ((truth, found), (truth / "a.csv", found), (truth, found / "a.csv")):
            assert evaluate(*sides).tp == 1

    def test_micrometres_take_the_pixel_size(self, folders):
        truth, found = folders
        (found / "b.csv").write_text("y_um,x_um\n0.5,0.5\n")
        assert evaluate(truth / "a.csv", found / "b.csv", pixel_size_um=0.5).distance_mean == 0
