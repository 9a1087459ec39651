"""Two processes under torchrun (gloo): captures hold each rank's own gradients, edits are the same on both ranks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "src"


@pytest.mark.slow
def test_captures_are_each_ranks_own_and_edits_are_identical():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*command, str(HERE / "on_a_rank.py")], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "rank 0: captures and edits agree" in done.stdout
    assert "rank 1: captures and edits agree" in done.stdout
