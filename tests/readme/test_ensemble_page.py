"""docs/ensemble.md: its code runs, offline."""

import re
from pathlib import Path

import pytest
import torch

pytest.importorskip("sklearn")
TEXT = (Path(__file__).parents[2] / "docs" / "ensemble.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_code_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    assert names["report"].metrics["clean"]["accuracy"] > 0.9
    assert names["ens"].widenings[0].error <= 1e-5
    shown = capsys.readouterr().out
    assert "| accuracy |" in shown
    assert "| hatched | clean.accuracy |" in shown
    assert names["coverage"] > 0.85
    assert names["curve"].error[names["half"] - 1] <= names["curve"].error[-1]
    assert names["again"].conformal.method == "aps"
