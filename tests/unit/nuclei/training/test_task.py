import itertools

import numpy as np
import pytest
import torch

from linnet.engine import Compute
from linnet.nuclei.detector.detector import Detector, Thresholds
from linnet.nuclei.scoring.scores import evaluate
from linnet.nuclei.training import task
from linnet.nuclei.training.crops import Annotated
from linnet.nuclei.training.task import NucleusTask, choose_thresholds, score_images
from tests.unit.nuclei.networks import lively


@pytest.fixture(scope="module")
def detector():
    return Detector(lively("small"))


@pytest.fixture(scope="module")
def images(detector):
    """Truth is a part of what the untrained detector finds, moved a little, and some more."""
    rng, out = np.random.default_rng(0), []
    for k in range(2):
        pixels = np.random.default_rng(k).integers(0, 256, (70, 80), dtype=np.uint8)
        found = detector(pixels, diameter_px=None, threshold=0.45).points[::2]
        out.append(Annotated(pixels, np.clip(found + rng.normal(0, 2, found.shape), 0, 69)))
    out.append(Annotated(np.full((40, 40), 7, np.uint8), np.zeros((0, 2))))  # constant: nothing can be found
    return out


def test_thresholds_are_those_of_an_obvious_loop(monkeypatch, detector, images):
    scores = (0.3, 0.42, 0.5, 0.54, 0.58)
    monkeypatch.setattr(task, "WINDOWS", (1, 3))
    monkeypatch.setattr(task, "APART_PX", (3.0, 9.0))
    monkeypatch.setattr(task, "SCORES", scores)
    truth = {str(k): image.points for k, image in enumerate(images)}
    best, best_f1, seen = None, -1.0, set()
    for window, apart, score in itertools.product((1, 3), (3.0, 9.0), scores):
        one = Detector(detector.network, thresholds=Thresholds(score, window, apart))
        f1 = evaluate(truth, {str(k): one(image.pixels, diameter_px=None).points for k, image in enumerate(images)}).f1
        seen.add(f1)
        if f1 > best_f1:
            best, best_f1 = Thresholds(score, window, apart), f1
    assert len(seen) > 5  # the choice matters
    assert choose_thresholds(detector, images) == best
    chosen = Detector(detector.network, thresholds=best)
    assert score_images(chosen, images).f1 == best_f1


def test_without_anything_to_find_the_default_stays(detector):
    assert choose_thresholds(detector, [Annotated(np.zeros((40, 40)), np.zeros((0, 2)))]) == Thresholds()


def test_validation_is_the_pooled_score_with_default_thresholds(detector, images):
    expected = score_images(Detector(detector.network), images)
    measured = NucleusTask(images).validate(detector.network, Compute.pick("cpu"))
    assert measured == {"f1": expected.f1, "precision": expected.precision, "recall": expected.recall}
    assert NucleusTask().validate(detector.network, Compute.pick("cpu")) == {}


def test_the_loss_goes_through_the_network(detector):
    network = lively("small").train()
    batch = {
        "image": torch.rand(2, 3, 32, 32),
        "map": torch.rand(2, 1, 16, 16),
        "offset": torch.zeros(2, 2, 16, 16),
        "weight": torch.ones(2, 1, 16, 16),
    }
    loss, parts = NucleusTask().loss(network, batch)
    loss.backward()
    assert parts.keys() == {"map", "offset"}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
