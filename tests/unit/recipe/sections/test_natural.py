"""[optimizer] name = "natural": what it becomes, a run of it, and what it refuses."""

from importlib import import_module

import pytest
import torch

from linnet.engine import Compute, Listener, fit
from linnet.errors import InputError, RecipeError, TrainingError
from linnet.optim import NaturalGradient
from linnet.recipe import parse, run

recipe_run = import_module("linnet.recipe.runner")
NATURAL = 'name = "natural"\nlr = 0.5\napprox = "exact"\nfisher = "sampled"\ndamping = 0.1'


@pytest.fixture(autouse=True)
def _plain_report(monkeypatch):
    monkeypatch.setattr(
        recipe_run, "write_report", lambda _, path, title, lead, **_more: path.write_text(f"{title} {lead}")
    )


def with_natural(recipe, lines=NATURAL):
    text = recipe.read_text().replace('name = "tiny"\nwidth = 4', 'name = "mlp"\nhidden = [8]')
    recipe.write_text(text.replace('name = "adam"\nlr = 0.02', lines))
    return recipe


def test_constants_reach_the_optimizer(recipe, task_named):
    plan = parse(with_natural(recipe), task_named=task_named)
    optimizer = plan.optimizer.build(torch.nn.Linear(2, 2), loss="cross_entropy")
    assert isinstance(optimizer, NaturalGradient)
    assert optimizer.needs_batch
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["damping"] == 0.1
    assert optimizer.state_dict()["natural"]["asked"] == ["exact", "cross_entropy", "sampled"]
    with pytest.raises(InputError, match=r"natural.*cross_entropy"):
        plan.optimizer.build(torch.nn.Linear(2, 2), loss=None)


@pytest.mark.parametrize("approx", ["exact", "kfac"])
def test_a_recipe_trains_and_resumes_to_the_same_weights(recipe, task_named, approx):
    path = with_natural(recipe, NATURAL.replace("exact", approx))
    whole = run(path, out=recipe.parent / "whole", overrides={}, task_named=task_named)
    accuracy = next(r for r in whole.records() if r.name == "accuracy" and r.split == "test")
    assert accuracy.value > 0.8
    again = run(path, out=recipe.parent / "again", overrides={}, task_named=task_named)
    assert whole.weights.read_bytes() == again.weights.read_bytes()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (NATURAL.replace("exact", "blok"), '`approx`.*"blok".*"block"'),
        (NATURAL.replace("0.5", "3"), "`lr`.*absolute = true"),
        (NATURAL + "\nbetas = [0.9, 0.99]", "`betas`.*natural"),
        ('name = "sgd"\nlr = 0.1\ndamping = 0.1', "`damping`.*sgd"),
    ],
)
def test_mistakes_are_told(recipe, task_named, lines, said):
    with pytest.raises(RecipeError, match=said):
        parse(with_natural(recipe, lines), task_named=task_named)


class StopAt(Listener):
    """Ends a run after so many updates; 0: never."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            run.stop("it was asked for")


class Regression:
    """A task whose loss the optimizer knows itself."""

    def loss(self, model, batch):
        raise AssertionError("the optimizer takes the batch")

    def validate(self, model, compute):
        return {}


def trained(folder, epochs, *, resume=False, approx="block", fisher="sampled", momentum=0.0, **asked):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)).double()
    x = torch.randn(12, 3, dtype=torch.float64)
    optimizer = NaturalGradient(model, "mse", approx, fisher, damping=0.1, c=0.5, momentum=momentum)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), 4)
    options = {"compute": Compute.pick("cpu"), "progress": "off", "folder": folder, "resume": resume} | asked
    return fit(model, Regression(), loader, optimizer=optimizer, epochs=epochs, **options)


@pytest.mark.parametrize(
    "asked",
    [
        {"fisher": "sampled"},
        {"approx": "exact", "fisher": "model", "momentum": 0.3},
        {"approx": "tridiagonal", "fisher": "empirical", "momentum": 0.3},
        {"approx": "unit", "fisher": "model"},
    ],
    ids=lambda asked: asked.get("approx", "block"),
)
def test_the_loop_hands_the_batch_over_and_a_resume_is_exact(tmp_path, asked):
    whole = trained(tmp_path / "whole", 4, **asked)
    assert whole.history[-1].loss < 0.4 * whole.history[0].loss
    assert whole.history[0].metrics["alpha"] > 0
    trained(tmp_path / "parts", 4, listeners=[StopAt(5)], **asked)
    resumed = trained(tmp_path / "parts", 4, resume=True, listeners=[StopAt(0)], **asked)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_needs_gradients_is_refused_before_anything_changes(tmp_path):
    with pytest.raises(TrainingError, match=r"NaturalGradient.*grad_clip.*approx='kfac'"):
        trained(tmp_path, 1, grad_clip=1.0)
