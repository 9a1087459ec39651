"""The programs of other libraries: asked over files and a pipe, and never twice for what they have done."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.nuclei.rivals import environment
from benchmarks.nuclei.rivals.environment import ENVIRONMENTS, interpreter
from benchmarks.nuclei.rivals.pictures import write_job
from benchmarks.nuclei.rivals.program import Program, passed
from benchmarks.nuclei.rivals.workers.protocol import colour, read_job
from linnet.data import NucleusImage

WORKER = Path(__file__).with_name("counting_worker.py")


@pytest.fixture
def job(tmp_path):
    images = []
    (tmp_path / "images").mkdir()
    for name, split in (("a", "train"), ("b", "train"), ("c", "val"), ("d", "test"), ("e", "test")):
        path = tmp_path / "images" / f"{name}.png"
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
        images.append(NucleusImage(name, path, np.array([[1.0, 2.0]]), "small_fluo", name, split))
    return write_job(images, tmp_path / "run" / "job.json")


def test_a_job_holds_what_a_program_needs(job):
    pictures = read_job(job)
    assert [picture.split for picture in pictures] == ["train", "train", "val", "test", "test"]
    assert [picture.name for picture in pictures if picture.timed] == ["d"]
    assert pictures[0].centres.tolist() == [[1.0, 2.0]]
    assert Path(pictures[0].labels).parts[-2:] == ("labels", "a.png")
    assert pictures[0].pixels.shape == (8, 8)


def test_colours_run_from_0_to_1_between_two_percentiles():
    gray = np.linspace(0, 1000, 10_001).reshape(73, 137)
    made = colour(gray)
    assert made.shape == (73, 137, 3)
    assert made.dtype == np.float32
    assert np.mean(made < 0) == pytest.approx(0.01, abs=2e-3)
    assert np.mean(made > 1) == pytest.approx(0.002, abs=1e-3)
    assert np.array_equal(colour(np.stack([gray] * 3, axis=2)), made)
    assert not colour(np.full((4, 4), 7)).any()


def test_budgets_that_are_done_are_not_done_again(job, tmp_path):
    program = Program("linnet", job, tmp_path / "run" / "counting", WORKER)
    first = program.trained(1, 2.5)
    assert [(one["steps"], one["judges"], one["budget_s"]) for one in first] == [(2, 1, 2.5)]
    three = program.trained(3, 2.5)
    assert len(three) == 3
    assert program.trained(1, 2.5) == three
    assert (program.folder / "count.txt").read_text() == "xxx"
    assert first[0]["import_cpu_s"] > 0
    assert first[0]["train_peak_mb"] > 10


def test_validation_and_test_images_are_searched_once(job, tmp_path):
    program = Program("linnet", job, tmp_path / "run" / "counting", WORKER)
    program.trained(1, 1.0)
    assert not program.has_found("x1")
    found, facts = program.found("x1")
    assert sorted(found) == ["c", "d", "e"]
    assert found["d"].tolist() == [[1.0, 2.0, 0.9], [3.0, 4.0, 0.2]]
    assert facts.keys() == {"val_cpu_s", "test_cpu_s"}
    (program.folder / "x1.json").write_text('{"val_cpu_s": 7}')
    assert program.found("x1")[1] == {"val_cpu_s": 7}


def test_passes_are_timed_at_a_threshold(job, tmp_path):
    program = Program("linnet", job, tmp_path / "run" / "counting", WORKER)
    with program.timed(0.5) as process:
        passes = [passed(process) for _ in range(2)]
    assert [one["points"] for one in passes] == [1, 1]
    assert process.returncode == 0


def test_a_program_that_fails_is_told_by_its_last_line(job, tmp_path):
    program = Program("linnet", job, tmp_path / "run" / "none", tmp_path / "none.py")
    with pytest.raises(RuntimeError, match=r"linnet failed: .*No such file"):
        program.trained(1, 1.0)
    with program.timed(0.5) as process:
        process.wait()
        with pytest.raises(RuntimeError, match="ended while it was timed"):
            passed(process)


def test_an_environment_is_made_once_and_a_library_that_cannot_be_had_is_told(monkeypatch, tmp_path):
    made, installed = [], []
    monkeypatch.setenv(environment.WHERE, str(tmp_path))
    monkeypatch.setattr(environment.venv, "create", lambda place, **_: (place.mkdir(), made.append(place.name)))

    def pip(words, **_):
        installed.append(words[-len(ENVIRONMENTS["stardist"].packages) :])
        failed = len(installed) == 1
        return environment.subprocess.CompletedProcess(words, int(failed), "", "first\nno such version\n")

    monkeypatch.setattr(environment.subprocess, "run", pip)
    with pytest.raises(RuntimeError, match=r"stardist can't be installed \(no such version\)"):
        interpreter("stardist")
    (tmp_path / ".venv-stardist").rmdir()
    assert interpreter("stardist") == interpreter("stardist") == tmp_path / ".venv-stardist" / "bin" / "python"
    assert made == [".venv-stardist"] * 2
    assert len(installed) == 2
    assert installed[1] == ["stardist==0.9.2", "tensorflow-cpu==2.21.0"]
    assert interpreter("linnet") == environment.sys.executable
