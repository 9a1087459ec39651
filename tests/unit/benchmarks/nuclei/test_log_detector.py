"""The LoG peer: finds what it should, and its tuning is exact, so that the rival isn't starved."""

import numpy as np
import pytest

from benchmarks.nuclei import log_detector
from benchmarks.nuclei.log_detector import LogSettings, best_threshold, peaks, to_gray, tune, tune_groups
from linnet.data.synthetic import fluorescence_field
from linnet.nuclei.scoring.scores import evaluate


@pytest.fixture(scope="module")
def field():
    return fluorescence_field((160, 160), 24, rng_seed=1, diameter_px=(12, 16), touching=0.1)


def test_blobs_are_found_at_their_centres_in_either_polarity():
    y, x = np.mgrid[:64, :80]
    centres = np.array([[20.0, 15.0], [40.0, 60.0]])
    blobs = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 32) for cy, cx in centres)
    bright = LogSettings("linear", "bright", 4.0, 1.0, 0.1)
    dark = LogSettings("linear", "dark", 4.0, 1.0, 0.1)
    assert np.array_equal(bright(blobs), centres)
    assert np.array_equal(dark(1 - blobs), centres)


def test_best_threshold_is_the_best_of_all_cuts_by_the_real_matcher():
    rng = np.random.default_rng(7)
    truths = [rng.uniform(0, 60, (25, 2)), rng.uniform(0, 60, (10, 2)), np.zeros((0, 2))]
    found = [(rng.uniform(0, 60, (n, 2)), rng.uniform(0, 1, n)) for n in (40, 20, 3)]

    def f1_at(cut: float) -> float:
        kept = {str(k): points[height > cut] for k, (points, height) in enumerate(found)}
        return evaluate({str(k): t for k, t in enumerate(truths)}, kept, radius_px=5.0).f1

    cuts = np.concatenate([[0.0], *(height for _, height in found)])
    f1, threshold = best_threshold(found, truths, 5.0)
    assert f1 == pytest.approx(max(f1_at(cut) for cut in cuts), abs=1e-12)
    assert f1_at(threshold) == pytest.approx(f1, abs=1e-12)


def test_equal_heights_stand_or_fall_together():
    truth = [np.array([[0.0, 0.0], [0.0, 50.0]])]
    found = [(np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 50.0]]), np.array([1.0, 1.0, 0.5]))]
    f1, threshold = best_threshold(found, truth, 5.0)
    assert f1 == pytest.approx(2 * 2 / (2 + 3))
    assert threshold < 0.5


def test_a_peak_may_take_over_a_nucleus_when_its_owner_has_another():
    # Nearest-first would strand the second peak: both reach (0, 6), only the first reaches (0, 0) as well.
    truth = [np.array([[0.0, 0.0], [0.0, 6.0]])]
    found = [(np.array([[0.0, 4.5], [0.0, 10.5]]), np.array([2.0, 1.0]))]
    assert best_threshold(found, truth, 5.0)[0] == 1.0


def test_no_peaks_is_no_score():
    assert best_threshold([(np.zeros((0, 2)), np.zeros(0))], [np.array([[1.0, 1.0]])], 5.0) == (0.0, np.inf)


def test_a_flat_response_has_no_peaks():
    assert len(peaks(np.zeros((10, 10), np.float32), 2)[0]) == 0


def test_tuned_settings_reach_their_f1_when_they_are_run(field, monkeypatch):
    monkeypatch.setattr(log_detector, "SIGMAS_PX", (2.0, 5.0, 12.0))
    image, truth = field
    tuned = tune([image], [truth])
    assert tuned.settings.polarity == "bright"
    assert tuned.settings.sigma_px == 5.0
    assert tuned.f1 > 0.9
    assert evaluate(truth, tuned.settings(image)).f1 == pytest.approx(tuned.f1, abs=1e-12)


def test_each_group_gets_its_own_settings(field, monkeypatch):
    monkeypatch.setattr(log_detector, "SIGMAS_PX", (5.0,))
    image, truth = field
    inverted = np.stack([image.max() - image] * 3, axis=2)
    tuned = tune_groups([("fluo", image, truth), ("stained", inverted, truth)])
    assert tuned["fluo"].settings.polarity == "bright"
    assert tuned["stained"].settings.polarity == "dark"
    assert tuned["stained"].f1 > 0.9


@pytest.mark.parametrize("gray", log_detector.GRAYS)
def test_grays_are_finite_even_of_a_constant_image(gray):
    assert np.isfinite(to_gray(np.full((8, 8, 3), 200, np.uint8), gray)).all()
