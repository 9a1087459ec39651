"""docs/ensemble.md: its code runs, offline."""

import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
TEXT = (Path(__file__).parents[2] / "docs" / "ensemble.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_code_runs(capsys):
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    assert names["report"].metrics["clean"]["accuracy"] > 0.9
    assert names["ens"].widenings[0].error <= 1e-5
    assert "| accuracy |" in capsys.readouterr().out
