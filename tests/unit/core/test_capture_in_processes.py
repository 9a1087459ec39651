"""A capture in two processes under torchrun (gloo): names without `module.`, each rank's own gradients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "src"


@pytest.mark.slow
def test_each_rank_captures_its_own_gradients():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*command, str(HERE / "capture_on_a_rank.py")], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "rank 0 agrees" in done.stdout
    assert "rank 1 agrees" in done.stdout
