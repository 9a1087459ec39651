"""Training refuses points that don't lie on nuclei, but would if they were read otherwise."""

import numpy as np
import pytest

from linnet.data import fluorescence_field
from linnet.errors import PointsError
from linnet.nuclei.detector.files import load
from linnet.nuclei.training.points_check import check_points
from linnet.nuclei.training.trainer import train


@pytest.fixture(scope="module")
def field():
    return fluorescence_field((160, 220), n=30, rng_seed=3)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("x and y exchanged", lambda p: p[:, ::-1]),
        ("multiplied by (2|1.99|2.01)", lambda p: (p + 0.5) * 0.5 - 0.5),
        ("moved by", lambda p: p + np.array([25, 40])),
    ],
)
def test_points_read_the_wrong_way(field, words, change):
    image, truth = field
    with pytest.raises(PointsError, match=f"{words}.*`trust_points`"):
        check_points({"a": image}, {"a": change(truth)}, load())


def test_points_as_they_are_pass_and_bad_input_is_left_to_the_checks_that_follow(field):
    image, truth = field
    check_points({"a": image, "b": image}, {"a": truth, "b": truth[:0]}, load())
    check_points({"a": image}, {"a": [["y", "x"]]}, load())
    check_points({"a": np.zeros(3)}, {"a": truth}, load())


def test_train_checks_first_and_trusts_when_told(field):
    image, truth = field
    swapped = truth[:, ::-1]
    inside = swapped[swapped[:, 0] < 159]
    with pytest.raises(PointsError, match="exchanged"):
        train([image], [inside], epochs=1, batches=1)
    detector = train([image], [inside], epochs=1, batches=1, batch_size=2, trust_points=True, progress="off")
    assert detector.card["training_nuclei"] == len(inside)
