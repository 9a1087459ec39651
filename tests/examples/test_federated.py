"""The federated example as real processes: four rounds, one device dies, the network learns all the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("sklearn", reason="the digits are scikit-learn's")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_four_rounds_close_without_the_device_that_died(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["--folder", str(tmp_path), "--epochs", "1", "--patience-s", "4"]
    script = ROOT / "examples" / "federated" / "run.py"
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "rounds.json").read_text())
    assert [row["devices"] for row in told] == [[0, 1, 2], [0, 1], [0, 1], [0, 1]]
    assert "device 2" in done.stderr
    assert (tmp_path / "round-1" / "to-2.safetensors").exists()
    assert not list(tmp_path.rglob("*.half"))
    sizes = [(tmp_path / "round-0" / f"to-{device}.safetensors").stat().st_size for device in range(3)]
    assert sizes == sorted(sizes, reverse=True)
    assert told[-1]["accuracy"] > 0.5  # of ten digits
    assert all(bool(torch.isfinite(tensor).all()) for tensor in load_file(tmp_path / "model.safetensors").values())
