"""Records of accuracy: pooled as defined, with intervals over mosaics, per group and in all."""

import numpy as np
import pytest

from benchmarks.nuclei.accuracy import score_records
from linnet.data import NucleusImage


def image(name: str, group: str, mosaic: str, points: list[tuple[float, float]]) -> NucleusImage:
    return NucleusImage(name, None, np.array(points, dtype=float).reshape(-1, 2), group, mosaic, "test")


IMAGES = [
    image("a", "small_fluo", "m1", [(0, 0), (0, 20)]),
    image("b", "small_fluo", "m1", [(5, 5)]),
    image("c", "small_fluo", "m2", [(9, 9)]),
    image("d", "rare_kind", "m3", [(1, 1)]),
]
FOUND = {
    "a": np.array([[0.0, 3.0]]),
    "b": np.array([[5.0, 5.0], [50.0, 50.0]]),
    "c": np.zeros((0, 2)),
    "d": np.array([[1.0, 2.0]]),
}


@pytest.fixture(scope="module")
def records():
    made = score_records(IMAGES, FOUND, method="log", context={"small_fluo": {"sigma_px": 3.0}})
    return {record.name: record for record in made}


def test_scores_are_pooled_over_the_images_of_a_group(records):
    f1 = records["nuclei.f1.small_fluo"]
    assert f1.value == pytest.approx(2 * 2 / (4 + 3))  # 4 true, 3 found, 2 matched
    assert (f1.n, f1.context["mosaics"], f1.context["sigma_px"], f1.method) == (3, 2, 3.0, "log")
    assert records["nuclei.distance_mean_px.small_fluo"].value == pytest.approx(1.5)
    assert records["nuclei.count_difference_mean.small_fluo"].value == pytest.approx(1.0)


def test_all_images_are_pooled_too_and_unknown_groups_are_kept(records):
    assert records["nuclei.f1.all"].value == pytest.approx(2 * 3 / (5 + 4))
    assert records["nuclei.f1.all"].n == 4
    assert records["nuclei.f1.rare_kind"].value == 1.0


def test_intervals_are_over_mosaics(records):
    # Two mosaics: each draw is m1 twice, m2 twice or one of each; F1 of m1 alone is 2 * 2 / (3 + 3), of m2 alone 0.
    assert records["nuclei.f1.small_fluo"].interval == (0.0, pytest.approx(2 / 3))
    assert records["nuclei.f1.rare_kind"].interval is None  # one picture says nothing about others
