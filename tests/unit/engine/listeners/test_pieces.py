"""Schedule, average, early stop, device, random numbers, progress: each by numbers one can count by hand."""

import io
import logging
import math
import random
import sys

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from linnet.engine import Average, Compute, EarlyStop, Epoch, Run, Schedule, derive_seed
from linnet.engine.compute.random_state import kept_random_state, seed_all
from linnet.engine.listeners.average import RunningAverage
from linnet.engine.listeners.early_stop import Watch
from linnet.engine.listeners.progress import EpochLog, ProgressBar, epoch_line, progress_listeners
from linnet.errors import InputError, TrainingError
from tests.unit.engine.small import network


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Schedule("constant"), [1, 1, 1, 1]),
        (Schedule("linear"), [1, 0.75, 0.5, 0.25]),
        (Schedule("linear", final_fraction=0.2), [1, 0.8, 0.6, 0.4]),
        (Schedule("cosine"), [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        (Schedule("cosine", warmup_steps=2, final_fraction=0.5), [0.5, 1, 1, 0.75]),
        (Schedule("step"), [1, 1, 0.1, 0.01]),
        (Schedule("step", milestones=[0.25], gamma=0.5), [1, 0.5, 0.5, 0.5]),
        (Schedule("constant", warmup_steps=8), [1 / 8, 2 / 8, 3 / 8, 4 / 8]),
    ],
)
def test_schedules_by_hand(schedule, factors):
    assert [schedule.factor(step, 4) for step in range(4)] == pytest.approx(factors)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": "cosin"}, "`schedule`.*'cosin'"),
        ({"warmup_steps": -1}, "`warmup_steps`"),
        ({"final_fraction": 1.5}, "`final_fraction`"),
        ({"milestones": (0.7, 0.5)}, r"`milestones`.*\(0\.7, 0\.5\)"),
        ({"milestones": (0.5, 1.0)}, r"`milestones`.*\(0\.5, 1\.0\)"),
        ({"gamma": 0.0}, "`gamma`"),
    ],
)
def test_a_schedule_out_of_range_is_refused(options, match):
    with pytest.raises(InputError, match=match):
        Schedule(**options)


def test_the_average_by_hand():
    model = nn.BatchNorm1d(1, dtype=torch.float64)
    average = RunningAverage(Average(0.5, warmup=False), model)
    for weight, expected in [(2.0, 1.5), (4.0, 2.75)]:
        nn.init.constant_(model.weight, weight)
        model.num_batches_tracked += 1
        average.update(model)
        assert average.tensors["weight"].item() == expected
    assert average.tensors["num_batches_tracked"] == 2
    with average.applied(model):
        assert model.weight.item() == 2.75
    assert model.weight.item() == 4.0
    assert [Average(0.9).at(n) for n in (0, 8, 800)] == [0.1, 0.5, 0.9]
    with pytest.raises(InputError, match="`decay`"):
        Average(1.0)


def watched(values, **options):
    watch = Watch(EarlyStop("f1", **options))
    for index, value in enumerate(values):
        watch.look(Epoch(index, 0, 0.0, 0.0, validation={"f1": value}), {"w": torch.tensor(value)})
    return watch


def test_early_stop_by_hand():
    assert watched([0.1, 0.3, 0.2], patience=2).reason is None
    stopped = watched([0.1, 0.3, 0.2, 0.3], patience=2)
    assert (stopped.best.epoch, stopped.best.value, stopped.tensors["w"].item()) == (1, 0.3, pytest.approx(0.3))
    assert stopped.reason == "early stop: `f1` was no better than 0.3 of epoch 1 for 2 epochs"
    least = watched([3.0, 2.0, math.nan, 1.0], patience=2, mode="min", restore=False)
    assert (least.best.epoch, least.reason, least.tensors) == (3, None, {})
    assert watched([math.nan, math.nan], patience=2).reason.endswith("no better than NaN for 2 epochs")


def test_early_stop_refuses_what_it_cannot_watch():
    with pytest.raises(TrainingError, match=r"(?=.*`acc`).*`f1`"):
        Watch(EarlyStop("f1")).look(Epoch(0, 0, 0.0, 0.0, validation={"loss": 1.0, "acc": 1.0}), {})
    with pytest.raises(TrainingError, match="`f1`"):
        Watch(EarlyStop("f1")).look(Epoch(0, 0, 0.0, 0.0), {})
    with pytest.raises(InputError, match="`patience`"):
        EarlyStop("f1", patience=0)
    with pytest.raises(InputError, match="`mode`"):
        EarlyStop("f1", mode="most")


def test_compute_is_picked_and_checked(monkeypatch):
    assert Compute.pick("cpu") == Compute("cpu", "float32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert Compute.pick() == Compute("cpu")
    with pytest.raises(InputError, match=r"`device`.*'cuda'"):
        Compute.pick("cuda")
    with pytest.raises(InputError, match=r"`device`.*'tpu9'"):
        Compute("tpu9")
    with pytest.raises(InputError, match="`precision`"):
        Compute("cpu", "half")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Compute.pick().device == "cuda:1"
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match=r"`device`.*'cuda:2'"):
        Compute.pick()


def test_every_tensor_of_a_batch_is_moved():
    batch = {"x": [torch.zeros(2), (torch.ones(1), "name")], "n": 3}
    moved = Compute("meta").to_device(batch)
    assert moved["x"][0].is_meta
    assert moved["x"][1][0].is_meta
    assert moved["x"][1][1] == "name"
    assert moved["n"] == 3
    assert not batch["x"][0].is_meta


def test_autocast_follows_the_precision():
    x = torch.ones(1, 4)
    for precision, dtype in [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]:
        with Compute("cpu", precision).autocast():
            assert network(norm=False)(x).dtype == dtype


def test_seeds_are_apart_and_generators_come_back():
    seeds = {derive_seed(s, *w) for s in (0, 1) for w in [(1,), ("1",), (1, 0), (11,), (1, 1), ("step", 1)]}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = []
    for _ in range(2):
        with kept_random_state():
            seed_all(4, "batch")
            draws.append((torch.rand(1).item(), np.random.rand(), random.random()))  # noqa: NPY002
        torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    assert draws[0] == draws[1]


def run_of(epochs=3):
    model = network()
    run = Run(model, torch.optim.SGD(model.parameters(), lr=0.1), Compute(), epochs=epochs, epoch_steps=5)
    run.step, run.loss, run.metrics = 5, 1.25, {"accuracy": 0.5}
    run.history.append(Epoch(0, 5, 1.5, 0.1, {"accuracy": 0.25}, {"f1": 0.75}))
    run.epoch = 1
    return run


def test_progress_is_a_bar_on_a_terminal_and_a_log_elsewhere(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert [type(one) for one in progress_listeners("auto")] == [ProgressBar]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert [type(one) for one in progress_listeners("auto")] == [EpochLog]
    assert progress_listeners("bar", rank=1) == progress_listeners("off") == []
    with pytest.raises(InputError, match="`progress`"):
        progress_listeners("on")


def test_the_bar_shows_epoch_loss_metric_and_time_left():
    screen = io.StringIO()
    bar = ProgressBar(Console(file=screen, force_terminal=True, width=120, color_system=None))
    run = run_of()
    bar.on_start(run)
    bar.on_step(run)
    bar._bar.refresh()
    bar.on_epoch(run)
    bar.on_end(run)
    shown = screen.getvalue()
    assert "epoch 2/3  loss 1.25  accuracy 0.5  val f1 0.75" in shown
    assert "5/15" in shown
    assert "-:--:--" in shown
    assert "epoch 1/3  loss 1.5  accuracy 0.25  val f1 0.75  lr 0.1" in shown


def test_a_resumed_run_says_where_it_goes_on(caplog):
    screen = io.StringIO()
    bar = ProgressBar(Console(file=screen, width=120))
    with caplog.at_level(logging.INFO):
        EpochLog().on_start(run_of())
    bar.on_start(run_of())
    bar.on_end(run_of())
    assert caplog.messages == ["going on from step 5 of 15"]
    assert "going on from step 5 of 15" in screen.getvalue()


def test_the_log_has_one_line_for_an_epoch(caplog):
    with caplog.at_level(logging.INFO):
        EpochLog().on_epoch(run_of())
    assert caplog.messages == [epoch_line(run_of().history[0], epochs=3)]
    assert caplog.messages == ["epoch 1/3  loss 1.5  accuracy 0.25  val f1 0.75  lr 0.1"]
