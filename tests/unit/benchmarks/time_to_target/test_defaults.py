"""Time to target with defaults: the text's task, a run, and the table."""

import torch
from torch import nn

from benchmarks.time_to_target import defaults
from benchmarks.time_to_target.character_model import CharacterModel
from linnet.results import Record


def test_the_classes_are_the_characters_that_follow_and_none_is_held_out_and_trained_on():
    task = defaults.characters(length=16, samples=3)
    x, y = task.batch(torch.Generator().manual_seed(0))
    assert x.shape == y.shape == (3, 16)
    assert torch.equal(x[:, 1:], y[:, :-1])
    held_x, held_y = task.held_out
    assert held_x.shape == (256, 16)
    assert torch.equal(held_x[:, 1:], held_y[:, :-1])


def test_a_place_sees_what_stands_before_it_alone():
    torch.manual_seed(0)
    model, codes = CharacterModel(9, 6, width=8, heads=2, blocks=1), torch.arange(12).view(2, 6) % 9
    other = codes.clone()
    other[:, 4] = (other[:, 4] + 1) % 9
    same = torch.isclose(model(codes), model(other), atol=1e-6).all(-1)
    assert same[:, :4].all()
    assert not same[:, 4:].any()


def test_every_rival_that_is_there_makes_its_steps(monkeypatch):
    monkeypatch.setattr(defaults, "EVERY", 1)
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 6, generator=draw), torch.arange(40) % 3

    def model():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    task = defaults.Task("t", model, lambda order: (x, y), (x, y), target=0.0, steps=3)
    for name in defaults._rivals():
        record = defaults.trained("p", task, name, 0)
        assert 0.0 < record.value <= 1.0
        assert record.context["steps_to_target"] == 1
        assert record.method == name
    assert [r.method for r in defaults.timed("p", task)] == defaults._rivals()


def test_the_table_has_the_sooner_first_and_counts_runs_that_never_arrive():
    def run(name, seed, value, steps):
        context = {"problem": "characters", "steps_to_target": steps, "target": 0.4, "steps": 300}
        return Record("natural.defaults", value, method=name, rng_seed=seed, context=context)

    step = Record("natural.defaults.step", 0.02, method="adamw", context={"problem": "characters"})
    found = [run("sgd", 0, 0.2, -1), run("sgd", 1, 0.3, 40), run("adamw", 0, 0.5, 60), run("adamw", 1, 0.6, 80), step]
    rows = [line for line in defaults.as_markdown(found).splitlines() if line.startswith(("| AdamW", "| SGD"))]
    assert rows == [
        "| AdamW | 2 of 2 | 70 (60 to 80) | 1.4 | 20 ms | 0.550 (0.500 to 0.600) |",
        "| SGD | 1 of 2 | not by most |  | not measured | 0.250 (0.200 to 0.300) |",
    ]


def test_a_file_of_times_alone_has_no_table():
    step = Record("natural.defaults.step", 0.02, method="adamw", context={"problem": "characters"})
    assert defaults.as_markdown([step]) == ""


def test_muon_takes_a_kernel_as_a_matrix_of_the_same_memory():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 3))
    before = model[0].weight.detach().clone()
    steppers = defaults.optimizers("muon", model)
    defaults.update(model, steppers, (torch.randn(5, 2, 4, 4), torch.arange(5) % 3))
    change = (model[0].weight - before).detach().flatten(1)
    assert torch.linalg.svdvals(change).min() > 0.3 * torch.linalg.svdvals(change).max()  # about orthogonal
