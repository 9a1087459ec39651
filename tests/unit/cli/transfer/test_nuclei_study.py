"""`linnet nuclei study`: what it refuses, and its demo."""

from itertools import chain, repeat
from types import SimpleNamespace

import pytest

from linnet.cli.application import main
from linnet.nuclei.transfer.demo import write_demo


def test_a_plan_or_the_demo_is_needed_and_not_both(tmp_path, capsys):
    assert main(["nuclei", "study"]) == 2
    assert "No plan was given. Name one, linnet nuclei study PLAN.toml, or see one: --demo" in capsys.readouterr().err
    assert main(["nuclei", "study", "plan.toml", "--demo"]) == 2
    assert "`--demo` makes its own plan" in capsys.readouterr().err
    assert main(["nuclei", "study", str(tmp_path / "none.toml")]) == 2
    assert "does not exist. Give the path of a plan" in capsys.readouterr().err


def test_a_study_without_time_begins_no_training_and_says_how_to_go_on(tmp_path, capsys):
    out = tmp_path / "study"
    assert main(["nuclei", "study", "--demo", "--minutes", "0", "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "No training was begun" in told
    assert not (out / "report.html").exists()
    assert (out / "study.json").exists()
    assert main(["nuclei", "study", "--demo", "--workers", "-1", "-o", str(out)]) == 2
    assert "`--workers` must be a whole number of at least 0 (got -1)" in capsys.readouterr().err
    for more in ([], ["--plan"]):
        assert main(["nuclei", "study", "--demo", "--minutes", "nan", "-o", str(out), *more]) == 2
        assert "`--minutes` must be a finite number of at least 0 (got nan)" in capsys.readouterr().err
    assert main(["nuclei", "study", "--demo", "--minutes", "0", "--data", str(out / "no"), "-o", str(out)]) == 2
    assert "`--data` must be a folder that exists" in capsys.readouterr().err


def test_a_file_where_the_results_belong_is_refused(tmp_path, capsys):
    plan, file = write_demo(tmp_path), tmp_path / "taken"
    file.write_text("")
    for what, out in ((str(plan), file), (str(plan), file / "below"), ("--demo", file)):
        assert main(["nuclei", "study", what, "--minutes", "0", "-o", str(out)]) == 2
        assert f"`--out` must be a folder, or a path at which one can be made (got {out}:" in capsys.readouterr().err


def test_a_study_that_time_cut_says_what_is_left_and_how_to_go_on(tmp_path, capsys, monkeypatch):
    plan, out, clock = write_demo(tmp_path), tmp_path / "study", chain([0.0, 0.0], repeat(100.0))
    plan.write_text(plan.read_text().replace("steps = 60", "steps = 2"))
    monkeypatch.setattr("linnet.engine.trials.execution.time", SimpleNamespace(monotonic=lambda: next(clock)))
    words = ["nuclei", "study", str(plan), "--scale", "smoke", "-o", str(out)]
    assert main([*words, "--minutes", "1"]) == 0
    told = capsys.readouterr().out
    assert "1 of 11 trainings are finished; `--minutes` left no time for the others." in told
    assert f"Next:   linnet nuclei study {plan} --scale smoke -o {out}, to go on" in told
    assert main([*words, "--plan", "--data", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "small_bright: 8 pictures (4 to train on, 2 to validate, 2 to test)" in told
    assert f"Next:   linnet nuclei study {plan} --scale smoke --data {tmp_path} -o {out}\n" in told
    assert "1 of 11 trainings are finished" in (out / "report.md").read_text()


@pytest.mark.slow
def test_the_demo_leaves_plan_records_and_page(tmp_path, capsys):
    out = tmp_path / "study"
    assert main(["nuclei", "study", "--demo", "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "11 trainings are finished." in told
    assert f"put your images' folders into {out / 'plan.toml'}" in told
    assert "The worst transfer" in (out / "report.html").read_text()
    assert len((out / "record.jsonl").read_text().splitlines()) == 11
