"""Two processes (gloo): captures hold each rank's own gradients, edits are the same on both ranks."""

from pathlib import Path

import pytest

from tests.forked import run_on_ranks


@pytest.mark.slow
def test_captures_are_each_ranks_own_and_edits_are_identical(tmp_path):
    told = run_on_ranks(Path(__file__).with_name("on_a_rank.py"), tmp_path)
    assert "rank 0: captures and edits agree" in told
    assert "rank 1: captures and edits agree" in told
