"""Speed records: equal threads on both sides, and the rates that the ratio is made of."""

import threading
import time
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.nuclei.speed import blob_log_points, speed_records, torch_threads
from benchmarks.sidebyside import UnequalWork, compare
from linnet.data import fluorescence_field
from linnet.nuclei.scoring.scores import evaluate

IMAGES = [np.zeros((100, 200), np.uint8), np.zeros((50, 100, 3), np.uint8)]


class Clock:
    """Seconds that pass only in sleep, which takes a little longer than was wanted, as a real one does."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += 1.01 * seconds


def sleeper(seconds: float, clock: Any = time):
    def find(_image: np.ndarray) -> np.ndarray:
        clock.sleep(seconds)
        return np.zeros((3, 2))

    return find


def test_the_ratio_and_the_rates_come_from_the_same_passes(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("benchmarks.nuclei.speed.compare", partial(compare, clock=clock.perf_counter))
    records = speed_records(IMAGES, sleeper(0.002, clock), {"log": lambda _: sleeper(0.02, clock)}, threads=1, pairs=3)
    ratio, ours, theirs = records
    assert (ratio.name, ratio.n, ratio.unit) == ("nuclei.speed_ratio.log.threads1", 3, "x")
    assert 1 < ratio.value < 10.5
    assert (ours.method, theirs.method, theirs.context["beside"]) == ("linnet", "log", "linnet")
    assert theirs.value <= 0.025 / 0.04  # 0.025 MP in at least 40 ms
    assert ours.context["megapixels"] == 0.025


def test_a_peer_takes_an_image_per_thread_and_torch_as_many_threads():
    seen = []

    def find(_image: np.ndarray) -> np.ndarray:
        seen.append(torch.get_num_threads())
        return np.zeros((1, 2))

    before = torch.get_num_threads()
    [ratio, *_] = speed_records(IMAGES, find, {"log": lambda _: sleeper(0.05)}, threads=2, pairs=3)
    assert set(seen) == {2}
    assert torch.get_num_threads() == before
    assert ratio.context["threads"] == 2


def test_two_threads_of_a_peer_search_at_the_same_time():
    meeting = threading.Barrier(2, timeout=10)  # breaks when one thread has all the images

    def find(_image: np.ndarray) -> np.ndarray:
        meeting.wait()
        return np.zeros((1, 2))

    images = [np.zeros((10, 10), np.uint8)] * 4
    assert speed_records(images, sleeper(0.0), {"log": lambda _: find}, threads=2, pairs=3)


def test_a_side_that_finds_nothing_is_no_rival():
    with pytest.raises(UnequalWork):
        speed_records(IMAGES, sleeper(0), {"log": lambda _: lambda _image: np.zeros((0, 2))}, threads=1, pairs=3)


def test_threads_are_given_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), torch_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_the_multi_scale_peer_finds_nuclei():
    image, truth = fluorescence_field((128, 128), 15, rng_seed=3, touching=0.0)
    assert evaluate(truth, blob_log_points(image)).recall >= 0.8
