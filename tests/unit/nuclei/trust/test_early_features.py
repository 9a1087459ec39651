"""What the early features add up to: the same for every choice of tiles, and what a slow twin computes."""

import threading

import numpy as np
import pytest
import torch

from linnet.nuclei.detector.brightness import Range
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.detector.tiles import Plane
from linnet.nuclei.trust.early_features import GROUPS, EarlyFeatures, group_of
from tests.unit.nuclei.networks import lively


@pytest.fixture(scope="module")
def detector():
    return Detector(lively("small"))


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).random((150, 203, 3)).astype(np.float32)


def seen(detector, plane, tile):
    with EarlyFeatures(detector._folded, "small") as early:
        detector._search(plane, detector.thresholds, tile, None, 0, early)
    return early.features()


def test_the_features_are_the_same_for_every_tile_size(detector, picture):
    plane = Plane(picture, Range(0.0, 1.0), 1.0, 16)
    whole = seen(detector, plane, None)
    for tile in (32, 48, 64, 128):
        np.testing.assert_allclose(seen(detector, plane, tile), whole, rtol=2e-5, atol=2e-6)


def test_against_a_slow_twin(detector, picture):
    plane = Plane(picture, Range(0.0, 1.0), 1.0, 16)
    features = seen(detector, plane, None)
    (top, bottom), (left, right) = plane.frame
    x = torch.from_numpy(plane.read(((top, bottom), (left, right))))[None]
    with torch.inference_mode():
        fine = detector._folded.fine(detector._folded.stem(x))[0].double().numpy()
    inside = fine[:, 4 : 4 + 150 // 4, 4 : 4 + 203 // 4]
    c = len(inside)
    np.testing.assert_allclose(features[:c], inside.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features[c : 2 * c], inside.std(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    bright, spread = picture.mean(axis=2), picture.max(axis=2) - picture.min(axis=2)
    expected = [bright.std(), spread.mean(), np.quantile(spread, 0.95)]
    expected += [(picture[..., 0] - picture[..., 1]).mean(), (picture[..., 1] - picture[..., 2]).mean()]
    np.testing.assert_allclose(features[2 * c :], expected, atol=0.01)
    assert [group_of(k, len(features)) for k in (0, 2 * c, 2 * c + 1)] == list(GROUPS)


def test_calls_of_another_thread_are_not_seen(detector, picture):
    plane = Plane(picture, Range(0.0, 1.0), 1.0, 16)
    with EarlyFeatures(detector._folded, "small") as early:
        other = threading.Thread(target=detector.output, args=(plane, next(plane.tiles(None, 0))))
        other.start()
        other.join()
        assert early.features() is None
        assert early._seen.numel() == 0


def test_nothing_stays_behind(detector, picture):
    hooks = len(detector._folded.fine._forward_hooks)
    with pytest.raises(RuntimeError, match="stop"), EarlyFeatures(detector._folded, "small"):
        raise RuntimeError("stop")
    assert len(detector._folded.fine._forward_hooks) == hooks
