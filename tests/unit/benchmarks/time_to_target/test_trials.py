"""The time-to-target study: same draws everywhere, tuning before final runs, runs that never arrive counted."""

import numpy as np
import pytest
import torch

from benchmarks.natural import subject as natural
from benchmarks.natural.page import SPEED
from benchmarks.small_networks import small_cnn, small_resnet
from benchmarks.time_to_target import rivals, step_times
from benchmarks.time_to_target.problems import SCALES, images
from benchmarks.time_to_target.tables import as_markdown, settings_table
from benchmarks.time_to_target.trials import chosen_settings, next_trials, run_trial
from linnet.results import Record, read_records
from papers.study import Trial

SMOKE, CPU = dict(SCALES["smoke"]), dict(SCALES["cpu"])


def test_draws_stay_in_their_ranges_and_are_the_same_again():
    for name, ranges in rivals.RANGES.items():
        settings = rivals.draw(name, 3)
        assert settings == rivals.draw(name, 3) != rivals.draw(name, 4)
        assert all(lo <= settings[key] <= hi for key, (lo, hi) in ranges.items())
        assert len(ranges) == 2


def made(trial, value, steps=40):
    context = {**trial.settings, "stage": trial.stage, "steps_to_target": steps, "settings": "lr=1"}
    return Record("x", value, method=str(trial.settings["rival"]), context=context | {"test_accuracy": 0.7})


def test_the_best_draw_is_trained_to_the_end_then_the_next_problem_begins(monkeypatch):
    monkeypatch.setattr(
        "benchmarks.time_to_target.trials.missing", lambda name: None if name == "kfac" else "elsewhere"
    )
    monkeypatch.setattr(
        "benchmarks.time_to_target.tables.missing", lambda name: None if name == "kfac" else "elsewhere"
    )
    tuning = next_trials({}, scales=CPU)
    assert [trial.stage for trial in tuning] == ["tune"] * 12
    finished = {trial.key: made(trial, 0.9 if trial.settings["draw"] == 7 else 0.5) for trial in tuning}
    final = next_trials(finished, scales=CPU)[12:]
    told = [{"problem": "fashion_mnist", "rival": "kfac", "draw": 7, "seed": s} for s in range(5)]
    assert [dict(trial.settings) for trial in final] == told
    finished |= {trial.key: made(trial, 0.8, steps=-1 if k > 2 else 40 + 20 * k) for k, trial in enumerate(final)}
    assert {trial.settings["problem"] for trial in next_trials(finished, scales=CPU)[17:]} == {"cifar10_jpeg"}
    times = [
        Record("natural.step_time", 0.05, method="kfac", context={"problem": "fashion_mnist", "times_sgdm": 1.5})
    ]  # fmt: skip
    table = as_markdown(finished, times, CPU)
    assert "| 3 of 5 | 60 (40 to 80) | 3 (2 to 4) | 50 ms, 1.50x SGD | 0.8 (0.8 to 0.8) | 0.7 (0.7 to 0.7) |" in table
    assert "| SGD, momentum 0.9 | not installed: elsewhere |" in table
    assert table.count("no runs yet") == 1
    assert settings_table(finished, "fashion_mnist").count("lr=1 -> 0.9") == 1


@pytest.mark.parametrize("name", ["sgdm", "adam", "adamw", "muon", "kfac", "exact"])
def test_a_run_says_when_it_arrived(name):
    loaded = {"fashion_mnist": images("fashion_mnist", SMOKE["fashion_mnist"], None)}
    trial = Trial("final", {"problem": "fashion_mnist", "rival": name, "draw": 0, "seed": 0})
    record = run_trial(trial, scales=SMOKE, loaded=loaded)
    assert record.method == name
    assert record.value >= 0.5
    assert record.context["steps_to_target"] in (4, 8, 12, 16)
    assert record.context["test_accuracy"] >= 0.5


def test_steps_are_timed_in_turns(monkeypatch):
    monkeypatch.setattr(step_times, "BLOCKS", 2)
    monkeypatch.setattr(step_times, "BLOCK", 2)
    loaded = {"fashion_mnist": images("fashion_mnist", SMOKE["fashion_mnist"], None)}
    chosen = {"fashion_mnist": {"sgdm": {"lr": 0.01, "weight_decay": 0.0}, "kfac": {"lr": 0.01, "damping": 0.1}}}
    records = step_times.measure(chosen, SMOKE, loaded, "told")
    assert [r.method for r in records] == ["sgdm", "kfac"]
    assert records[0].context["times_sgdm"] == 1.0
    assert records[1].context["times_sgdm"] == pytest.approx(records[1].value / records[0].value)
    assert all((r.n, r.command) == (4, "told") for r in records)


def test_chosen_settings_are_those_of_the_best_draw(monkeypatch):
    monkeypatch.setattr(
        "benchmarks.time_to_target.trials.missing", lambda name: None if name == "sgdm" else "elsewhere"
    )
    tuning = next_trials({}, scales=SMOKE)
    finished = {trial.key: made(trial, 0.5) for trial in tuning}
    assert chosen_settings(finished, SMOKE) == {"fashion_mnist": {"sgdm": rivals.draw("sgdm", 0)}}


def test_muon_moves_kernels_and_biases():
    torch.manual_seed(0)
    model, x, y = small_cnn(), torch.randn(16, 1, 28, 28), torch.arange(16) % 10
    before = [p.detach().clone() for p in model.parameters()]
    rivals.updates("muon", model, {"lr": 0.01, "other_lr": 0.01})(x, y)
    assert all(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


def test_the_small_resnet_couples_no_samples():
    torch.manual_seed(0)
    model, x = small_resnet(), torch.randn(3, 3, 32, 32)
    np.testing.assert_allclose(model(x)[:1].detach(), model(x[:1]).detach(), atol=1e-5)


def test_curvlinops_in_a_hand_loop_learns():
    pytest.importorskip("curvlinops", reason="curvlinops-for-pytorch isn't installed (make peers)")
    torch.manual_seed(0)
    model, x, y = small_cnn(), torch.randn(16, 1, 28, 28), torch.arange(16) % 10
    update = rivals.updates("curvlinops", model, {"lr": 0.05, "damping": 0.1})
    before = float(torch.nn.functional.cross_entropy(model(x), y).detach())
    for _ in range(8):
        update(x, y)
    assert float(torch.nn.functional.cross_entropy(model(x), y).detach()) < before


def test_the_subject_natural_shows_the_recorded_tables_as_well():
    shown = natural.as_markdown(read_records(SPEED))
    assert "| K-FAC step, mlp" in shown
    assert "Time to target, from the committed records" in shown
    assert "in seconds AdamW" in shown
