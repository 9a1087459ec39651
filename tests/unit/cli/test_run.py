"""`linnet run` hands the recipe on, reads --set as TOML, and shows the results."""

import pytest

import linnet.recipe
from linnet.cli.application import main
from linnet.cli.run import result_lines
from linnet.results import Record, RunFolder


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the recipe was asked for; the run itself leaves four records."""
    calls = []

    def run(path, *, out, overrides):
        calls.append((path, out, overrides))
        folder = RunFolder.create(tmp_path, "digits")
        folder.record(Record("accuracy", 0.98765, split="test"))
        folder.record(Record("accuracy in class", 0.5, split="test", context={"class": "shirt"}))
        folder.record(Record("parameters", 19562))
        folder.record(Record("loss", 0.5, context={"epoch": 1}))
        return folder

    monkeypatch.setattr(linnet.recipe, "run", run)
    return calls


def test_settings_are_read_as_toml_and_as_text_otherwise(asked, tmp_path, capsys):
    words = [
        "--set",
        "train.epochs=2",
        "--set",
        "train.average=0.5",
        "--set",
        "optimizer.name=sgd",
        "--set",
        "data.flip=true",
    ]
    assert main(["run", "r.toml", "-o", str(tmp_path / "there"), *words]) == 0
    [(path, out, overrides)] = asked
    assert (str(path), out) == ("r.toml", tmp_path / "there")
    assert overrides == {"train.epochs": 2, "train.average": 0.5, "optimizer.name": "sgd", "data.flip": True}
    shown = capsys.readouterr().out
    assert shown.startswith(
        "accuracy: 0.9877 (test)\naccuracy in class: 0.5 (test, class shirt)\nparameters: 19562\n"
    )  # results, not the course of training
    assert "loss" not in shown
    assert f"Result: {tmp_path / 'digits' / 'report.html'}" in shown


@pytest.mark.parametrize("words", ["train.epochs", "=2"])
def test_a_setting_without_name_or_value_is_refused(asked, words, capsys):
    assert main(["run", "r.toml", "--set", words]) == 2
    assert "SECTION.KEY=VALUE" in capsys.readouterr().err
    assert asked == []


def test_two_methods_stand_side_by_side_and_what_only_pictures_show_is_left_out():
    records = [
        Record("accuracy", 0.9, method="pruned", split="test"),
        Record("accuracy", 0.95, method="dense", split="test"),
        Record("accuracy in class", 0.5, method="pruned", context={"class": "shirt"}),
        Record("reliability", 0.5, method="pruned", context={"bin": 1}),
        Record("channels of layer", 5, method="pruned", context={"layer": "conv"}),
        Record("loss", 0.5, method="pruned", context={"epoch": 1}),
        Record("ms p50", 0.25, unit="ms", method="pruned"),
        Record("budget used", 0.99, method="pruned", context={"limit": "macs"}),
    ]
    assert list(result_lines(records)) == [
        "                   pruned  dense",
        "accuracy              0.9   0.95",
        "ms p50            0.25 ms      -",
        "budget used macs     0.99      -",
    ]


def test_a_plan_is_shown_with_the_command_that_does_it(monkeypatch, capsys):
    monkeypatch.setattr(linnet.recipe, "dry_run", lambda path, *, out, overrides: f"{path} {out} {overrides}")
    assert main(["run", "r.toml", "--plan", "--set", "report.title=two words", "-o", "there"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("r.toml there {'report.title': 'two words'}\n")
    assert "Next:   linnet run r.toml --set 'report.title=two words' -o there" in shown.replace(
        "linnet  run", "linnet run"
    )


def test_a_run_with_members_names_their_file_and_tells_the_temperatures_apart(monkeypatch, tmp_path, capsys):
    def run(path, *, out, overrides):
        folder = RunFolder.create(tmp_path, "digits")
        for name, value in (("seed", 1.1), ("ensemble", 0.8)):
            folder.record(Record("temperature", value, method=name, split="validation"))
        (folder.path / "ensemble.safetensors").write_bytes(b"")
        (folder.path / "ensemble.onnx").write_bytes(b"")
        (folder.path / "calibration.json").write_text('{"temperature": 0.7654321}')
        return folder

    monkeypatch.setattr(linnet.recipe, "run", run)
    assert main(["run", "r.toml"]) == 0
    shown = capsys.readouterr().out
    assert "The ensemble's file keeps 0.7654, fitted on one half" in shown
    assert f"the ensemble is {tmp_path / 'digits' / 'ensemble.safetensors'}, for other runtimes" in shown
    assert "ensemble.onnx" in shown
    assert "weights.safetensors" not in shown
