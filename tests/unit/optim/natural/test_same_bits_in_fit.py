"""`fit` and a recipe that are stopped after each of 40 steps end with the bits of the run that was not."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.engine import Checkpoints, Listener, Task, fit
from linnet.optim import NaturalGradient
from linnet.optim.natural.kronecker import kronecker_block
from linnet.recipe import run
from linnet.recipe.classify import TASK

STEPS, EPOCHS = 40, 4


class Classify(Task):
    def loss(self, model, batch):
        return F.cross_entropy(model(batch[0]), batch[1]), {}

    def validate(self, model, compute):
        return {}


class Stop(Listener):
    """Ends the run after a number of steps."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            run.stop("test")


def batches():
    draw = torch.Generator().manual_seed(1)
    count = STEPS // EPOCHS
    return [(torch.randn(6, 1, 8, 8, generator=draw), torch.randint(0, 3, (6,), generator=draw)) for _ in range(count)]


def trained(folder, options, *, stop=None):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    opt = NaturalGradient(model, "cross_entropy", damping=0.05, fisher="sampled", **options)
    listeners = [] if stop is None else [Stop(stop)]
    fit(
        model,
        Classify(),
        batches(),
        optimizer=opt,
        epochs=EPOCHS,
        listeners=listeners,
        progress="off",
        checkpoints=Checkpoints(folder, every=1),
    )
    return model.state_dict()


CASES = {
    "kfac": {"approx": "kfac", "lr": 0.05, "momentum": 0.9, "factor_every": 3, "inverse_every": 7},
    "kfac, no memory": {"approx": "kfac", "lr": 0.05, "ema": 0.0, "factor_every": 3, "inverse_every": 7},
    "kfac, blocks": {"approx": "kfac", "lr": 0.05, "max_side": 5, "factor_every": 3, "inverse_every": 7},
    "kfac, wide": {"approx": "kfac", "lr": 0.05, "max_side": None, "factor_every": 3, "inverse_every": 7},
    "exact": {"approx": "exact", "c": 0.3},
    "block": {"approx": "block", "c": 0.3},
    "tridiagonal": {"approx": "tridiagonal", "lr": 0.05},
    "unit": {"approx": "unit", "c": 0.3},
}


@pytest.mark.parametrize("case", CASES)
def test_fit_stopped_after_every_step(tmp_path, monkeypatch, case):
    """Each of the 39 stops goes on in the same folder, so that a run is resumed after every step."""
    if case == "kfac, wide":
        monkeypatch.setattr(kronecker_block, "HUGE", 10)
    whole = trained(None, CASES[case])
    for step in range(1, STEPS):
        trained(tmp_path, CASES[case], stop=step)
    parts = trained(tmp_path, CASES[case])
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


RECIPE = """task = "classify"
[data]
name = "digits"
test_fraction = 0.7
[model]
name = "tiny"
width = 4
[optimizer]
name = "natural"
lr = 0.05
absolute = true
approx = "kfac"
fisher = "sampled"
momentum = 0.9
factor_every = 3
inverse_every = 7
[train]
epochs = 4
batch_size = 43
checkpoint_every = 1
average = 0.9
"""


def after_one_step(name):
    """The task, with Ctrl-C in the loss of the second step that it makes."""

    def build(plan):
        built = TASK.build(plan)
        count = iter(range(10**6))

        class Interrupted:
            def loss(self, model, batch):
                if next(count) == 1:
                    raise KeyboardInterrupt
                return built.task.loss(model, batch)

            def validate(self, model, compute):
                return built.task.validate(model, compute)

        return replace(built, task=Interrupted())

    return replace(TASK, build=build)


@pytest.mark.slow
def test_a_recipe_stopped_after_every_step(tmp_path):
    path = tmp_path / "digits.toml"
    path.write_text(RECIPE)
    whole = run(path, out=tmp_path / "whole")
    stops = 0
    while not (tmp_path / "parts" / "weights.safetensors").exists():
        try:
            run(path, out=tmp_path / "parts", task_named=after_one_step)
        except KeyboardInterrupt:
            stops += 1
    assert stops >= STEPS - 1  # one after each step but the last
    assert (tmp_path / "parts" / "weights.safetensors").read_bytes() == whole.weights.read_bytes()
