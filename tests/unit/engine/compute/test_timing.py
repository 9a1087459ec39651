"""Timings by a clock of our own: no test depends on how fast the machine is."""

import itertools
import os

import pytest
import torch

from linnet.engine.compute.timing import Latency, Timing, on_threads, timed


class _Clock:
    """Each call takes the seconds that it is given."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def call(self, seconds, log, name):
        turns = itertools.cycle(seconds)

        def run():
            log.append(name)
            self.now += next(turns)

        return run


def test_calls_take_turns_after_all_are_warm():
    clock, log = _Clock(), []
    a, b = timed(clock.call([3.0, 1.0, 2.0], log, "a"), clock.call([5.0], log, "b"), repeats=3, warmups=3, clock=clock)
    assert "".join(log) == "aaabbb" + "ab" * 3
    assert (a.best_s, a.p50_s, a.runs) == (1.0, 2.0, 3)
    assert b.best_s == b.p95_s == 5.0


def test_noise_is_the_late_runs_over_the_median():
    assert Timing.of([1.0] * 100).noise == 1.0
    assert Timing.of([1.0] * 90 + [2.0] * 10).noise == pytest.approx(2.0)


def test_two_timings_together_keep_the_best_run_and_the_calmer_quantiles():
    wild, calm = Timing(1.0, 2.0, 6.0, 30, (1.9, 2.1)), Timing(1.5, 1.6, 1.7, 30, (1.5, 1.7))
    assert wild.joined(calm) == calm.joined(wild) == Timing(1.0, 1.6, 1.7, 60, (1.5, 1.7))


def test_threads_and_cores_are_what_they_were_before():
    before = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with on_threads(1):
        assert torch.get_num_threads() == 1
        if cores is not None:
            assert len(os.sched_getaffinity(0)) == 1
    assert torch.get_num_threads() == before
    if cores is not None:
        assert os.sched_getaffinity(0) == cores


def _latency(p95):
    return Latency(2.0, 9.5, 1.93, 1.95, p95, 30, 3, "onnxruntime 1.32.0", "x86", 1, 1)


def test_words_name_measured_and_asked_and_noise_only_where_it_hides_five_percent():
    assert str(_latency(2.0)) == (
        "latency_ms: 9.5 -> 1.93 measured, 2 asked (onnxruntime 1.32.0, batch 1, 1 thread, best of 30)"
    )
    assert "noisy: p95 / p50 is 1.54" in str(_latency(3.0))
