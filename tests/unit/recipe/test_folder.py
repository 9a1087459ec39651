"""The run folder: more epochs, damaged weights, and a second process."""

import subprocess
import sys
from importlib import import_module

import pytest

from linnet.errors import RecipeError
from linnet.recipe import run
from linnet.recipe.folder import is_whole, only_one
from linnet.results import RunFolder


@pytest.fixture
def started(recipe, task_named, monkeypatch):
    """Runs the recipe into a folder beside it; reports are one line."""
    runner = import_module("linnet.recipe.runner")  # the package has a function of the same name
    monkeypatch.setattr(runner, "write_report", lambda folder, path, title, lead, extra: path.write_text(title + lead))

    def start(name="out", **train):
        overrides = {f"train.{key}": value for key, value in train.items()}
        return run(recipe, out=recipe.parent / name, overrides=overrides, task_named=task_named)

    return start


def test_a_finished_run_takes_more_epochs(started, caplog):
    whole = started("whole", schedule="constant", epochs=6)
    started("parts", schedule="constant", epochs=3)
    caplog.set_level("INFO")
    longer = started("parts", schedule="constant", epochs=6)
    assert longer.weights.read_bytes()[-1000:] == whole.weights.read_bytes()[-1000:]  # the tensors; facts have epochs
    assert [r.value for r in longer.records() if r.name == "nll"] == [
        r.value for r in whole.records() if r.name == "nll"
    ]
    assert RunFolder.open(longer.path).facts["settings"]["train"]["epochs"] == 6
    assert "6 epochs instead of 3" in caplog.text
    assert (longer.path / "report.html").exists()


def test_a_schedule_that_ends_later_is_told(started, caplog):
    started(epochs=2)
    caplog.clear()
    started(epochs=3)
    assert "'cosine'" in caplog.text


def test_fewer_epochs_are_another_run(started):
    started(epochs=3)
    with pytest.raises(RecipeError, match=r"train\.epochs was 3 and is 2"):
        started(epochs=2)


@pytest.mark.parametrize("harm", ["cut", "changed", "empty"])
def test_weights_that_were_damaged_are_not_the_trained_network(started, caplog, harm):
    folder = started()
    good = folder.weights.read_bytes()
    bad = {"cut": good[:-10], "changed": good[:-1] + bytes([good[-1] ^ 1]), "empty": b""}[harm]
    folder.weights.write_bytes(bad)
    assert not is_whole(folder.weights)
    started()
    assert folder.weights.read_bytes() == good
    assert "It is made again" in caplog.text


def test_two_processes_in_one_folder_are_refused(started, tmp_path):
    folder = started()
    folder.weights.unlink()
    with only_one(folder.path), pytest.raises(RecipeError, match=r"another process.*process \d+ on"):
        started()
    started()
    assert not (folder.path / ".lock").exists()


def test_a_lock_that_a_killed_process_left_is_taken_over(tmp_path):
    code = (
        "import os, pathlib; from linnet.recipe.folder import only_one\n"
        f"with only_one(pathlib.Path({str(tmp_path)!r})): os._exit(1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 1
    assert (tmp_path / ".lock").exists()
    with only_one(tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()
