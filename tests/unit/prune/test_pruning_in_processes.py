"""Pruning in two processes under torchrun (gloo): one launch, see pruning_on_a_rank.py for what they assert."""

import subprocess

import pytest
import torch
from safetensors.torch import load_file

from linnet.errors import TrainingError
from linnet.prune.training import checks
from linnet.prune.training.checks import require_agreement
from tests.unit.engine.small import assert_equal_states, python


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What two processes have left that were started twice, because the second was killed."""
    folder = tmp_path_factory.mktemp("ranks")
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    words += ["-m", "tests.unit.prune.pruning_on_a_rank", str(folder)]
    monkeypatch = pytest.MonkeyPatch()  # the store that torchrun shares holds addresses of the first life's processes
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    process = python(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    monkeypatch.undo()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["masked", "whole", "killed"])
def test_both_ranks_end_with_the_same_network(out, name):
    assert_equal_states(load_file(out / f"{name}-0.safetensors"), load_file(out / f"{name}-1.safetensors"))


@pytest.mark.slow
def test_a_run_whose_rank_was_killed_goes_on_to_the_same_bits(out):
    assert_equal_states(load_file(out / "killed-0.safetensors"), load_file(out / "whole-0.safetensors"))


def test_alone_there_is_nothing_to_agree_on():
    require_agreement("the masks", "any", "")


def test_ranks_that_differ_are_named(monkeypatch):
    monkeypatch.setattr(checks, "gathered", lambda own: [own, own + 1, own.clone(), torch.zeros_like(own)])
    with pytest.raises(TrainingError, match=r"masks.*ranks 1, 3.*101.*Do this\."):
        require_agreement("the masks", "101", "Do this.")
