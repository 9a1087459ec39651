"""`python -m benchmarks.time_to_target`: the study at its smallest scale, then its steps, then nothing is left."""

import importlib

from linnet.results import read_records

main = importlib.import_module("benchmarks.time_to_target.__main__").main


def test_the_smallest_scale_runs_to_a_table_with_seconds(tmp_path, capsys, monkeypatch):
    for module in ("trials", "tables"):
        missing = "benchmarks.time_to_target." + module + ".missing"
        monkeypatch.setattr(missing, lambda name: None if name == "sgdm" else "elsewhere")
    words = ["--scale", "smoke", "--out", str(tmp_path)]
    assert main([*words, "--minutes", "0"]) == 2  # nothing was begun, and there is nothing to show
    assert main(words) == 0
    assert "2 runs in" in capsys.readouterr().out
    assert main([*words, "--times"]) == 0
    assert [record.method for record in read_records(tmp_path / "smoke_times.jsonl")] == ["sgdm"]
    capsys.readouterr()
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "0 runs in" in shown
    assert " ms, 1.00x SGD |" in shown
