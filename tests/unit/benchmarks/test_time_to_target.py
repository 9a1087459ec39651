"""The time-to-target study: same draws everywhere, tuning before final runs, runs that never arrive counted."""

from functools import partial

import pytest
import torch

from benchmarks import rivals
from benchmarks.natural_nets import small_cnn
from benchmarks.time_to_target import SCALES, as_markdown, next_trials, run_trial
from linnet.results import Record
from papers.study import Trial

SCALE = SCALES["smoke"]


def test_draws_stay_in_their_ranges_and_are_the_same_again():
    for name, ranges in rivals.RANGES.items():
        settings = rivals.draw(name, 3)
        assert settings == rivals.draw(name, 3) != rivals.draw(name, 4)
        assert all(lo <= settings[key] <= hi for key, (lo, hi) in ranges.items())


def made(trial, value, steps=4):
    context = {"stage": trial.stage, "steps_to_target": steps, "seconds_to_target": 1.0, "settings": "lr=1"}
    return Record("x", value, method=str(trial.settings["rival"]), context=context)


def test_the_best_draw_is_trained_to_the_end(monkeypatch):
    monkeypatch.setattr("benchmarks.time_to_target.missing", lambda name: None if name == "kfac" else "elsewhere")
    scale = SCALES["cpu"]
    tuning = next_trials({}, scale=scale)
    assert [trial.stage for trial in tuning] == ["tune"] * 12
    finished = {trial.key: made(trial, 0.9 if trial.settings["draw"] == 7 else 0.5) for trial in tuning}
    final = next_trials(finished, scale=scale)[12:]
    assert [dict(trial.settings) for trial in final] == [{"rival": "kfac", "draw": 7, "seed": s} for s in range(5)]
    finished |= {trial.key: made(trial, 0.8, steps=-1 if k > 1 else 4) for k, trial in enumerate(final)}
    table = as_markdown(finished)
    assert "| kfac | 5 | 2 | not by most | not by most | 0.8 (0.8 to 0.8) |" in table
    assert "| sgdm | not installed: elsewhere |" in table


@pytest.mark.parametrize("name", ["sgdm", "adamw", "muon", "kfac", "exact"])
def test_a_run_says_when_it_arrived(name):
    record = partial(run_trial, scale=SCALE, data=None)(Trial("final", {"rival": name, "draw": 0, "seed": 0}))
    assert record.method == name
    assert record.value >= 0.5
    assert record.context["steps_to_target"] in (4, 8, 12, 16)


def test_curvlinops_in_a_hand_loop_learns():
    pytest.importorskip("curvlinops", reason="curvlinops-for-pytorch isn't installed (make peers)")
    torch.manual_seed(0)
    model, x, y = small_cnn(), torch.randn(16, 1, 28, 28), torch.arange(16) % 10
    update = rivals.updates("curvlinops", model, {"lr": 0.05, "damping": 0.1})
    before = float(torch.nn.functional.cross_entropy(model(x), y).detach())
    for _ in range(8):
        update(x, y)
    assert float(torch.nn.functional.cross_entropy(model(x), y).detach()) < before
