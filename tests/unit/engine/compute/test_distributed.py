import subprocess

import pytest
import torch
from safetensors.torch import load_file

from linnet.engine import Compute, Ranks
from linnet.engine.checkpoint.checkpoint import list_checkpoints
from linnet.errors import TrainingError
from tests.unit.engine.small import assert_equal_states, network, python, train

from .ranks import natural

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What two processes started by torchrun have left: see ranks.py."""
    folder = tmp_path_factory.mktemp("ranks")
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words += ["-m", "tests.unit.engine.compute.ranks", str(folder)]
    process = python(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    told, _ = process.communicate(timeout=500)
    assert process.returncode == 0, told
    return folder


@pytest.mark.parametrize("run", ["joined", "whole", "resumed", "natural"])
def test_both_processes_end_with_the_same_bits(out, run):
    assert_equal_states(load_file(out / f"{run}-0.safetensors"), load_file(out / f"{run}-1.safetensors"))


@pytest.mark.parametrize("run", ["joined", "natural"])
def test_two_processes_do_what_one_does_with_the_joined_batch(out, run):
    ours = load_file(out / f"{run}-0.safetensors")
    one = natural() if run == "natural" else train(model=network(dropout=0.0, norm=False))
    theirs = one.model.state_dict() | {f"average.{k}": v for k, v in one.averaged.items()}
    for name, tensor in theirs.items():  # 20 updates in float32; measured 3e-7
        torch.testing.assert_close(ours[name], tensor, rtol=1e-5, atol=2e-6)
    assert ours["losses"].tolist() == pytest.approx([epoch.loss for epoch in one.history], rel=1e-5)


def test_stopped_by_one_process_and_resumed_it_is_the_uninterrupted_run(out):
    assert_equal_states(load_file(out / "resumed-0.safetensors"), load_file(out / "whole-0.safetensors"))


def test_nan_on_one_process_stops_both_before_the_update(out):
    told = [(out / f"nan-{rank}.txt").read_text() for rank in (0, 1)]
    assert told[0] == told[1]
    assert "epoch 1, batch 0 (step 5)" in told[0]
    assert [path.name for path in list_checkpoints(out / "nan")] == [
        "checkpoint-00000002.safetensors",
        "checkpoint-00000004.safetensors",
    ]


def test_alone_there_is_one_process():
    assert Ranks.join(Compute()) == Ranks(rank=0, world=1)


def test_processes_that_cannot_meet_are_told_how(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrainingError, match="torchrun --nproc-per-node"):
        Ranks.join(Compute())
