"""[hatch], [calibrate], [evaluate] and [export] of a recipe: one folder, resumable after each stage."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import linnet
from linnet.ensemble import HatchEnsemble
from linnet.errors import LinnetError, RecipeError
from linnet.recipe import dry_run, runner
from linnet.recipe.classifier_file import load_classifier
from linnet.recipe.parsing import parse
from linnet.results import read_records

pytest.importorskip("sklearn")

RECIPE = """
task = "classify"
[data]
name = "digits"
validation_fraction = 0.3
test_fraction = 0.3
[model]
name = "tiny"
width = 8
[optimizer]
name = "adamw"
lr = 0.01
[train]
epochs = 2
batch_size = 64
[hatch]
members = 2
noise = 0.3
{hatch}
{more}
"""
EVALUATE = '[calibrate]\n[evaluate]\nsuite = "extra4"\nseverities = [3]\nimages = 20\n'


def written(folder, hatch="epochs = 1", more=EVALUATE):
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(hatch=hatch, more=more))
    return path


def values(folder):
    return {(r.name, r.method, r.split, r.context.get("epoch")): r.value for r in read_records(folder / "record.jsonl")}


def test_a_recipe_ends_in_members_records_and_a_page(tmp_path):
    out = runner.run(written(tmp_path), out=tmp_path / "run").path
    found = values(out)
    assert {method for _, method, *_ in found} >= {"seed", "ensemble"}
    for method in ("seed", "ensemble"):
        assert 0 <= found["clean.accuracy", method, "test", None] <= 1
        assert ("shifted.ece", method, "test", None) in found
    assert not any(name.startswith("shifted/") for name, *_ in found)
    facts = json.loads((out / "calibration.json").read_text())
    seed = load_classifier(out / "weights.safetensors")
    ens = linnet.load(HatchEnsemble([seed, load_classifier(out / "weights.safetensors")]), out / "ensemble.safetensors")
    assert ens.temperature == facts["temperature"]
    assert facts["test_coverage"] > 0.7
    html = (out / "report.html").read_text()
    for title in ("Reliability", "Budget", "Rejection", "Entropy", "Most uncertain", "Corruptions"):
        assert f">{title}<" in html
    before = html
    runner.run(tmp_path / "recipe.toml", out=out)
    assert (out / "report.html").read_text() == before


def test_a_dry_run_tells_the_members_training(tmp_path):
    told = dry_run(written(tmp_path, "epochs = 3"), out=tmp_path / "run")
    batches = int(re.search(r"2 epochs of (\d+) batches", told)[1])
    assert f"hatching: 2 members, each for 3 epochs of {batches} batches, {2 * 3 * batches} steps of a member" in told
    pool, times, one = re.search(
        r"members: ([\d,]+) MACs for an image, ([\d.]+) times the network's ([\d,]+)", told
    ).groups()
    assert float(times) == pytest.approx(int(pool.replace(",", "")) / int(one.replace(",", "")), abs=0.006)
    told = dry_run(written(tmp_path, "at = 0.5"), out=tmp_path / "run")
    left = batches * int(one.replace(",", "")) // int(pool.replace(",", ""))
    assert f"hatching: after {batches} of the {2 * batches} steps, then {left} steps of all 2 members" in told
    assert not (tmp_path / "run").exists()


def test_test_images_are_answered_without_gradients(tmp_path, monkeypatch):
    answered = HatchEnsemble.forward

    def checked(self, x):
        assert not torch.is_grad_enabled()
        return answered(self, x)

    monkeypatch.setattr(HatchEnsemble, "forward", checked)
    assert (runner.run(written(tmp_path), out=tmp_path / "run").path / "calibration.json").exists()


def test_early_hatching_ends_the_training_in_members(tmp_path):
    path = written(tmp_path, "at = 0.3\nfactor = 1.1", more="")
    out = runner.run(path, out=tmp_path / "run", overrides={"train.epochs": 8}).path
    assert not (out / "weights.safetensors").exists()
    assert (out / "ensemble.safetensors").exists()
    assert {method for _, method, *_ in values(out)} >= {"ensemble"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return runner.run(written(folder), out=folder / "whole").path


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["_hatch", "_calibrate", "_evaluate", "_report"])
def test_a_run_that_fails_in_a_stage_goes_on_there(tmp_path, monkeypatch, whole, stage):
    path = written(tmp_path)

    def fails(work):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(runner, stage, fails)
        with pytest.raises(RuntimeError, match="killed"):
            runner.run(path, out=tmp_path / "parts")
    parts = runner.run(path, out=tmp_path / "parts").path
    assert values(parts) == pytest.approx(values(whole), nan_ok=True, abs=1e-4)


@pytest.mark.slow
def test_a_run_that_is_killed_in_each_of_its_stages_goes_on(tmp_path):
    """SIGKILL in the middle of both trainings and at the end of every stage; in the end all is as if undisturbed."""
    export = all(importlib.util.find_spec(package) for package in ("onnx", "onnxscript", "onnxruntime"))
    path = written(tmp_path, more=EVALUATE + "[export]\n" * export)
    stages = ["train", "hatch", "calibrate", *["export"] * export, "evaluate", "report"]
    doomed = ["step train", "write train", "step hatch", *(f"write {stage}" for stage in stages[1:])]
    source = Path(linnet.__file__).parents[1]
    command = [sys.executable, "-m", "tests.unit.recipe.killed_in_stages", str(path)]
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{Path(__file__).parents[3]}"}

    folders = [str(tmp_path / "whole"), "--", str(tmp_path / "parts"), *doomed]
    run = subprocess.run([*command, *folders], check=True, env=environment, timeout=300, capture_output=True, text=True)
    whole, *parts = [int(code) for code in run.stdout.split()]
    assert whole == 0
    assert parts == [*[-signal.SIGKILL] * len(doomed), 0]
    whole, parts = values(tmp_path / "whole"), values(tmp_path / "parts")
    assert parts == pytest.approx(whole, nan_ok=True, abs=1e-6)
    # What a killed process was writing is left under another name; no file of the run is missing or half.
    names = {file.name for file in (tmp_path / "whole").iterdir()}
    assert names <= {file.name for file in (tmp_path / "parts").iterdir()}
    kept = json.loads((tmp_path / "parts" / "calibration.json").read_text())
    assert kept == pytest.approx(json.loads((tmp_path / "whole" / "calibration.json").read_text()), abs=1e-6)


def test_the_onnx_file_is_a_stage_of_its_own(tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    out = runner.run(written(tmp_path, more="[calibrate]\n[export]\n"), out=tmp_path / "run").path
    import onnxruntime

    session = onnxruntime.InferenceSession(str(out / "ensemble.onnx"))
    found = session.run(None, {session.get_inputs()[0].name: torch.zeros(3, 1, 8, 8).numpy()})
    assert [output.name for output in session.get_outputs()] == ["probs", "entropy", "aleatoric", "epistemic"]
    assert found[0].shape == (3, 10)


@pytest.mark.parametrize(
    ("hatch", "more", "message"),
    [
        ("", "", r"either `at` or `epochs` must be given \(got neither\)"),
        ("epochs = 1\nat = 0.4", "", r"got both"),
        ("epochs = 1\nmembrs = 3", "", r"line \d+: \[hatch\] `membrs` is unknown. Did you mean `members`"),
        ("epochs = 1\nfactor = 0.9", "", r"\[hatch\] `factor`.*above 1"),
        ('epochs = 1\nsplit = "halves"', "", r"\[hatch\] `split`.*random.*even.*pair"),
        ("epochs = 1", '[evaluate]\nsuite = "cifar10c"', r"\[evaluate\] `suite`.*cifar15"),
        ("epochs = 1", "[evaluate]\nseverities = [6]", r"\[evaluate\] `severities`"),
        ("epochs = 1", "[calibrate]\nalpha = 1.0", r"\[calibrate\] `alpha`"),
        ("epochs = 1", '[export]\nformat = "tflite"', r"\[export\] `format`"),
        ("epochs = 1", "[prune]\nmacs = 0.5", r"can't be combined with \[prune\]"),
    ],
)
def test_bad_keys_and_values_are_told_with_file_key_and_choices(tmp_path, hatch, more, message):
    with pytest.raises(RecipeError, match=message) as caught:
        parse(written(tmp_path, hatch, more))
    assert "recipe.toml" in str(caught.value)


def test_sections_of_an_ensemble_need_one(tmp_path):
    path = tmp_path / "recipe.toml"
    text = RECIPE.format(hatch="", more="[calibrate]\n[evaluate]\n[export]\n")
    path.write_text(text.replace("[hatch]\nmembers = 2\nnoise = 0.3\n", ""))
    with pytest.raises(RecipeError, match=r"3 things must be changed") as caught:
        parse(path)
    assert str(caught.value).count("needs an ensemble") == 3


@pytest.mark.parametrize(
    ("old", "new", "only"),
    [
        ("noise = 0.3", "noise = -1", "`noise`"),
        ("noise = 0.3", "nosie = 0.3", "`nosie` is unknown. Did you mean `noise`"),
        ("[hatch]", "[hatc]", "[hatc]"),
    ],
)
def test_a_wrong_section_of_members_is_the_only_complaint(tmp_path, old, new, only):
    path = tmp_path / "recipe.toml"
    text = RECIPE.format(hatch="epochs = 1", more="[calibrate]\n[evaluate]\n[export]\n")
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        parse(path)
    assert only in str(caught.value)
    assert "needs an ensemble" not in str(caught.value)
    assert "things must be changed" not in str(caught.value)


def test_images_from_outside_must_have_the_size_of_the_test_images(tmp_path, monkeypatch):
    monkeypatch.setenv("LINNET_DATA", str(tmp_path))
    path = written(tmp_path, more='[evaluate]\nood = "mnist"\nsuite = "none"\n')
    with pytest.raises(LinnetError):
        runner.run(path, out=tmp_path / "run")
