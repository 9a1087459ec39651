"""Training end to end, small: it learns, it is reproducible, and it goes on after an interrupt to the same bits."""

import numpy as np
import pytest
import torch

from linnet.data.synthetic import fluorescence_field
from linnet.engine import Compute
from linnet.errors import CheckpointError, ImageError, InputError, PointsError
from linnet.nuclei import train as train_detector
from linnet.nuclei.detector.detector import Detector, Thresholds
from linnet.nuclei.scoring.scores import evaluate
from linnet.nuclei.training.task import NucleusTask
from linnet.nuclei.training.trainer import annotate
from tests.unit.nuclei.networks import lively

CPU = Compute.pick("cpu")


def fields(count, first_seed=0):
    made = [fluorescence_field((112, 112), 12, rng_seed=first_seed + k) for k in range(count)]
    return [image for image, _ in made], [points for _, points in made]


def train(images, points, **options):
    defaults = {"epochs": 2, "batches": 2, "batch_size": 1, "compute": CPU, "progress": "off"}
    return train_detector(images, points, **{**defaults, **options})


def assert_same_weights(one, two):
    states = one.network.state_dict(), two.network.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.slow
def test_a_detector_learns_synthetic_nuclei_from_scratch():
    images, points = fields(8)
    detector = train(images, points, epochs=1, batches=60, batch_size=3, lr=8e-3)
    unseen, truth = fields(4, first_seed=100)
    found = {str(k): detector(image, scale=1).points for k, image in enumerate(unseen)}
    scores = evaluate({str(k): p for k, p in enumerate(truth)}, found)
    assert scores.f1 > 0.8  # 0.0 before training
    assert scores.distance_mean < 2.5
    assert detector.card["training_images"] == 6
    assert detector.card["thresholds_from"] == "2 held-out images"
    assert detector.card["steps"] == 60
    assert 0 < detector.card["validation_f1"] <= 1


@pytest.mark.slow
def test_interrupted_training_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    images, points = fields(4)
    whole = train(images, points, epochs=3)
    steps, loss = [], NucleusTask.loss

    def interrupted(self, model, batch):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return loss(self, model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(NucleusTask, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(images, points, epochs=3, folder=tmp_path)
    resumed = train(images, points, epochs=3, folder=tmp_path)
    assert len(steps) == 4  # of six
    assert_same_weights(resumed, whole)
    assert resumed.thresholds == whole.thresholds
    other = train(images, points, epochs=3, rng_seed=1)
    assert not torch.equal(other.network.head.weight, whole.network.head.weight)


def test_training_leaves_what_it_was_given():
    start = Detector(lively("small"), "small", Thresholds(0.4, 1, 3.0))
    before = {k: v.clone() for k, v in start.network.state_dict().items()}
    images, points = fields(1)
    kept, states = [images[0].copy(), points[0].copy()], torch.get_rng_state()
    tuned = train(images, points, start=start, epochs=1, batches=1)
    assert torch.equal(torch.get_rng_state(), states)
    assert all(torch.equal(v, before[k]) for k, v in start.network.state_dict().items())
    assert not torch.equal(tuned.network.head.weight, start.network.head.weight)
    assert np.array_equal(images[0], kept[0])
    assert np.array_equal(points[0], kept[1])
    assert tuned.preset == "small"
    # One image: nothing is held out, and the card says so.
    assert tuned.card["thresholds_from"] == "1 training images"
    assert tuned.card["validation_f1"] is None


def test_images_by_name_lists_and_alpha_are_taken():
    gray = np.arange(35.0).reshape(5, 7)
    alpha = np.zeros((4, 4, 4), np.uint8)
    made = annotate({"a": gray.tolist(), "b": alpha}, {"b": [], "a": [[4.4, 6.4]]}, ignore={"b": np.ones((4, 4))})
    assert [(m.pixels.shape, m.points.tolist()) for m in made] == [((5, 7), [[4.4, 6.4]]), ((4, 4, 3), [])]
    assert made[0].ignore is None
    assert made[1].ignore.all()


@pytest.mark.parametrize(
    ("images", "points", "options", "error", "message"),
    [
        ([np.eye(9)], [], {}, PointsError, r"points.*\b0\b"),
        ({"a": np.eye(9)}, {"b": []}, {}, PointsError, "'a', 'b'"),
        ([], [], {}, PointsError, "image"),
        ([np.eye(9)], [[[9, 1]]], {}, PointsError,
         "[Ii]mage 0.*y = 9, x = 1"),
        ([np.eye(9)], [[[-0.6, 1]]], {}, PointsError, r"y = -0\.6, x = 1"),
        ([np.eye(9)], [[[np.nan, 1]]], {}, PointsError, "[Ii]mage 0.*points"),
        ([np.eye(9)], [[1, 2, 3]], {}, PointsError, r"[Ii]mage 0.*\(3,\)"),
        ([np.zeros((3, 9, 9))], [[]], {}, ImageError, r"[Ii]mage 0.*\(3, 9, 9\)"),
        ([np.zeros((0, 9))], [[]], {}, ImageError, r"[Ii]mage 0.*\(0, 9\)"),
        ([np.eye(9)], [[]], {"ignore": [np.zeros((2, 2))]}, InputError, r"`ignore`.*\(2, 2\)"),
        ([np.eye(9)], [[]], {"ignore": {"x": np.zeros((9, 9))}}, PointsError, "`ignore`.*'x'"),
        ([np.eye(9)], [[]], {"validation": 0.6}, InputError, "`validation`"),
        ([np.eye(9)], [[]], {"preset": "huge"}, InputError, "`preset`.*'huge'"),
        ([np.eye(9)], [[]], {"lr": 0.0}, InputError, "`lr`.*0"),
        ([np.eye(9)], [[]], {"lr": float("nan")}, InputError, "`lr`.*nan"),
        ([np.eye(9)], [[]], {"batches": 0}, InputError, "`batches`"),
        ([np.eye(9)], [[]], {"start": "no such file"}, CheckpointError, "no such file"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_before_training(images, points, options, error, message):
    with pytest.raises(error, match=message):
        train(images, points, **options)
