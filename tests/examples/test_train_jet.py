"""The example that trains jets: digits, to a verified program and its C."""

import subprocess
import sys
from pathlib import Path

import pytest

from linnet.jet import Program

pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
ROOT = Path(__file__).parents[2]


def test_it_trains_freezes_verifies_and_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = [
        sys.executable,
        str(ROOT / "examples" / "train_jet.py"),
        "--epochs",
        "1",
        "--width",
        "4",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "none differs" in done.stdout
    assert Program.load(tmp_path / "program.safetensors").hash[:16] in done.stdout
    assert (tmp_path / "c" / "linnet_jet.c").exists()
