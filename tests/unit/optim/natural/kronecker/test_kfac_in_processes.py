"""K-FAC in two processes (gloo): one process with the joined batch, inverses shared out by count."""

from pathlib import Path

import pytest
import torch
from torch import nn

from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock, Sums
from linnet.optim.natural.kronecker.parallel import divided, reduced
from tests.forked import run_on_ranks

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("script", ["kfac_on_a_rank", "branches_on_a_rank"])
def test_two_ranks_are_one_process_with_the_joined_batch(script, tmp_path):
    told = run_on_ranks(HERE / f"{script}.py", tmp_path)
    assert "rank 0 agrees" in told
    assert "rank 1 agrees" in told


def test_inverses_are_divided_by_cost_each_to_the_process_with_the_least():

    blocks = {
        "w": KroneckerBlock(nn.Linear(4, 9), "w", "b", a=torch.eye(5)[None], b=torch.eye(9)[None]),
        "n": SmallBlock(("n",), a=torch.eye(8)[None]),
        "v": KroneckerBlock(nn.Conv1d(2, 4, 1, groups=2), "v", None, a=torch.ones(2, 1, 1), b=torch.ones(2, 2, 2)),
    }
    jobs = {(job.key, job.side): (job.cost, job.owner) for job in divided(blocks, 2)}
    assert jobs == {
        ("w", "b"): (729, 0), ("n", "a"): (512, 1), ("w", "a"): (125, 1), ("v", "b"): (16, 1), ("v", "a"): (2, 1)
    }  # fmt: skip
    assert {job.owner for job in divided(blocks, 1)} == {0}


def test_one_process_keeps_its_sums():
    sums = {"w": Sums(3, 3)}
    assert reduced(sums) is sums
