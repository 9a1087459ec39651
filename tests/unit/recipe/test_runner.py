import json
import signal
import time
from dataclasses import replace
from importlib import import_module

import pytest
import torch

from linnet import models
from linnet.data import Standardise
from linnet.engine import Compute
from linnet.engine.files.tensor_file import read_tensors
from linnet.errors import DataError, RecipeError
from linnet.recipe import parse, run
from linnet.recipe.classifier_file import CLASSIFIER
from linnet.recipe.classify import TASK, read_parts, scores
from linnet.results import RunFolder
from tests import forked

recipe_run = import_module("linnet.recipe.runner")  # the package has a function of the same name


@pytest.fixture(autouse=True)
def _plain_report(monkeypatch, request):
    """Leaves the drawing of curves out, which takes longer than the rest of a small run; `drawn` keeps it."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(
            recipe_run, "write_report", lambda folder, path, title, lead, extra: path.write_text(title + lead)
        )


@pytest.fixture
def drawn():
    """Asks for the real report."""


@pytest.fixture
def started(recipe, task_named):
    """Runs the recipe into a folder beside it."""

    def start(name="out", **train):
        overrides = {f"train.{key}": value for key, value in train.items()}
        return run(recipe, out=recipe.parent / name, overrides=overrides, task_named=task_named)

    return start


def digest(folder):
    """What a run leaves, without the places and times in it."""
    records = [(r.name, r.value, r.split, r.context, r.interval) for r in folder.records()]
    return folder.weights.read_bytes(), records


@pytest.mark.usefixtures("drawn")
def test_a_run_leaves_everything_in_one_folder(started, recipe, task_named):
    folder = started("out", epochs=8)
    assert sorted(entry.name for entry in folder.path.iterdir()) == [
        "checkpoints", "recipe.toml", "record.jsonl", "report.html", "run.json", "weights.safetensors",
    ]  # fmt: skip
    assert (folder.path / "recipe.toml").read_text() == recipe.read_text()
    assert folder.facts["settings"]["train"]["epochs"] == 8
    assert folder.facts["rng_seeds"] == {"train": 0}

    found = {(r.name, r.context.get("class"), r.context.get("epoch")): r for r in folder.records()}
    accuracy = found["accuracy", None, None]
    assert (accuracy.split, accuracy.n, accuracy.level, accuracy.rng_seed) == ("test", 18, 0.95, 0)
    assert accuracy.value is not None
    assert accuracy.value > 0.8  # the classes are 50 grey levels apart, 40 / sqrt(30) is the noise of a mean
    assert accuracy.interval is not None
    assert accuracy.interval[0] < accuracy.value
    in_class = [found["accuracy in class", name, None] for name in ("bright", "dark")]
    assert sum(r.value * r.n for r in in_class) / 18 == pytest.approx(accuracy.value)
    losses = [found["loss", None, epoch].value for epoch in range(1, 9)]
    assert losses[-1] < losses[0]

    page = (folder.path / "report.html").read_text()
    assert "<title>out" in page
    assert f"{accuracy.value:.3g}"[:4] in page
    assert "Curve of nll over epoch" in page
    assert "Data: pictures." in page

    # The weights' file alone makes the network that was measured.
    tensors, about = read_tensors(folder.weights, CLASSIFIER)
    model = models.create(about["model"]["name"], **about["model"]["options"])
    model.load_state_dict(tensors)
    standardise = Standardise(about["input"]["mean"], about["input"]["deviation"])
    test = read_parts(parse(recipe, task_named=task_named)).test
    assert about["classes"] == ["bright", "dark"]
    assert about["data"]["test"] == test.digest
    nll = scores(model.eval(), test, standardise, Compute("cpu"))[0].mean().item()
    assert nll == pytest.approx(found["nll", None, None].value, abs=1e-6)


def test_a_finished_run_is_left_alone(started, caplog):
    folder = started()
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    caplog.set_level("INFO")
    assert started().path == folder.path
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before
    assert "finished" in caplog.text


def interrupted_after(steps, task_named):
    """The task, with Ctrl-C during the loss of step `steps`."""

    def build(plan):
        built = TASK.build(plan)
        count = iter(range(10**6))

        class Interrupted:
            def loss(self, model, batch):
                if next(count) == steps:
                    raise KeyboardInterrupt
                return built.task.loss(model, batch)

            def validate(self, model, compute):
                return built.task.validate(model, compute)

        return replace(built, task=Interrupted())

    return lambda name: replace(task_named(name), build=build)


def test_an_interrupted_run_goes_on_to_the_same_bits(started, recipe, task_named):
    whole = started("whole")
    out = recipe.parent / "parts"
    for steps in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            run(recipe, out=out, task_named=interrupted_after(steps, task_named))
        assert not (out / "weights.safetensors").exists()
        assert not (out / "record.jsonl").exists()
    assert digest(started("parts")) == digest(whole)


@pytest.mark.parametrize("lost", [["report.html"], ["record.jsonl", "report.html"], ["weights.safetensors"]])
def test_only_the_stages_without_a_product_are_done_again(started, lost):
    folder = started()
    before = digest(folder)
    kept = {p: p.stat().st_mtime_ns for p in folder.path.iterdir() if p.is_file() and p.name not in lost}
    for name in lost:
        (folder.path / name).unlink()
    assert digest(started()) == before
    assert (folder.path / "report.html").exists()
    kept.pop(folder.path / "recipe.toml")  # written at every start
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_averaged_weights_are_what_is_saved(started):
    plain = read_tensors(started("plain").weights, CLASSIFIER)[0]
    averaged = read_tensors(started("averaged", average=0.9).weights, CLASSIFIER)[0]
    assert not torch.equal(plain["head.weight"], averaged["head.weight"])


def test_early_stop_ends_with_the_best_epoch(started):
    folder = started("out", early_stop=1, epochs=40)
    course = [r.value for r in folder.records() if r.name == "nll" and r.split == "validation"]
    assert len(course) < 40
    assert course[-1] >= min(course)


def test_settings_of_the_run_in_the_folder_must_be_the_same(started, recipe):
    started()
    recipe.write_text("# a comment changes nothing\n" + recipe.read_text())
    started()
    with pytest.raises(RecipeError, match=r"out.*train\.epochs.*4.*3"):
        started("out", epochs=3)


def test_a_folder_with_other_things_is_not_touched(started, recipe):
    (recipe.parent / "mine").mkdir()
    (recipe.parent / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(RecipeError, match=r"mine.*`out`"):
        started("mine")
    assert [path.name for path in (recipe.parent / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(RecipeError, match=r"thesis\.txt"):
        started("mine/thesis.txt")


def test_the_folder_is_named_after_the_recipe(recipe, task_named, monkeypatch):
    monkeypatch.chdir(recipe.parent)
    assert run(recipe, task_named=task_named).path.as_posix() == "runs/small"


SCRIPT = """
import sys
from linnet.recipe import run
from linnet.recipe.classify import TASK
run(sys.argv[1], out=sys.argv[2], overrides={"train.epochs": 30}, task_named=lambda name: TASK)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(started, recipe):
    out = recipe.parent / "killed"
    torch.set_num_threads(1)
    process = forked.start(SCRIPT, recipe.parent, str(recipe), str(out))
    while process.is_alive() and not any((out / "checkpoints").glob("checkpoint-*[1-9].safetensors")):
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert json.loads((out / "run.json").read_text())["settings"]["train"]["epochs"] == 30
    assert not (out / "weights.safetensors").exists()
    resumed = started("killed", epochs=30)
    assert digest(resumed) == digest(started("whole", epochs=30))


@pytest.mark.slow
def test_two_processes_train_and_one_writes(recipe, tmp_path):
    script = recipe.parent / "script.py"
    script.write_text(SCRIPT.replace('"train.epochs": 30', '"train.epochs": 2'))
    out = recipe.parent / "shared"
    forked.run_on_ranks(script, tmp_path, str(recipe), str(out))
    folder = RunFolder.open(out)
    records = [(r.name, r.split, r.context.get("class"), r.context.get("epoch")) for r in folder.records()]
    bins = [r.context.get("bin") for r in folder.records()]
    assert len(set(zip(records, bins, strict=True))) == len(records)
    assert ("accuracy", "test", None, None) in records
    assert ("loss", "train", None, 2) in records
    assert (out / "report.html").exists()
    assert not (recipe.parent / "shared-2").exists()
    tensors, _ = read_tensors(folder.weights, CLASSIFIER)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_the_set_that_was_really_used_stands_in_run_json_and_in_the_report(recipe, task_named, monkeypatch):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    monkeypatch.setenv("LINNET_DATA", str(recipe.parent))
    text = recipe.read_text()
    data = text[text.index("[data]") : text.index("[model]")]
    recipe.write_text(text.replace(data, '[data]\nname = "fashion_mnist"\ninstead = "digits"\n'))
    options = {"out": recipe.parent / "out", "overrides": {"train.epochs": 1}, "task_named": task_named}
    folder = run(recipe, **options)
    assert folder.facts["settings"]["data"]["name"] == "digits"
    assert "Data: digits." in (folder.path / "report.html").read_text()
    (recipe.parent / "fashion_mnist").mkdir()  # now it is there: the run can't go on as another
    with pytest.raises(RecipeError, match=r"data\.name.*'digits'.*'fashion_mnist'"):
        run(recipe, **options)


def test_data_that_is_not_there_leaves_no_folder_and_the_right_path_goes_on(recipe, task_named):
    options = {"out": recipe.parent / "out", "task_named": task_named}
    wrong = {"data.path": str(recipe.parent / "nope"), "train.epochs": 1}
    with pytest.raises(DataError, match="nope"):
        run(recipe, overrides=wrong, **options)
    assert not (recipe.parent / "out").exists()
    folder = run(recipe, overrides=wrong | {"data.path": str(recipe.parent / "pictures")}, **options)
    assert folder.facts["settings"]["data"]["path"] == str(recipe.parent / "pictures")
