"""What a process of its own prints, and the memory that a call takes there."""

import subprocess

import numpy as np
import pytest

from benchmarks.peak_memory import RESETTABLE
from benchmarks.process import own_process, python

MB = 10**6


def block_of(megabytes):
    """A call that fills an array and gives its last number."""
    return lambda: int(np.arange(megabytes * MB // 8)[-1])


@pytest.mark.skipif(not RESETTABLE, reason="no /proc here, so a process can't begin its peak anew")
def test_the_peak_of_a_call_is_what_it_adds():
    done = own_process(block_of, 80, peak="call")
    assert done.value == 80 * MB // 8 - 1
    assert 80 * MB * 0.95 < done.extra_bytes < 80 * MB + 10 * MB
    assert done.wall_s > 0


def test_the_peak_of_a_process_holds_all_that_came_before():
    small, large = (own_process(block_of, size, peak="process") for size in (1, 200))
    assert large.peak_bytes > small.peak_bytes + 150 * MB
    assert large.peak_bytes >= large.before_bytes


def test_a_fresh_python_runs_where_and_with_what_it_is_told(tmp_path):
    code = "import os; print(os.getcwd(), dict(os.environ).get('LINNET_WORD'))"
    assert python("-c", code, folder=tmp_path, environment={"LINNET_WORD": "a"}).split() == [str(tmp_path), "a"]
    with pytest.raises(subprocess.CalledProcessError):
        python("-c", "raise SystemExit(3)")
