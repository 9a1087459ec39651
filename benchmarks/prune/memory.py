"""Bytes alive in a training step, with masks and after the network became small; and the size of its file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from benchmarks.goal import bounded
from benchmarks.peak_memory import allocated
from benchmarks.prune.budget import HEADLINE
from benchmarks.prune.step import EVERY, Training
from linnet import save
from linnet.models import create
from linnet.prune import Budget, Pruner, extract, plan
from linnet.results import Record

KIB = 1024


def records(*, quick: bool) -> list[Record]:
    """Peaks of tensor bytes beside plain training, and the file beside its parameters."""
    batch = 4 if quick else 32
    x, y = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
    network = "vgg" if quick else "vgg16"
    plain = Training(network, x, y, compiled=False, pruned=False)
    masked = Training(network, x, y, compiled=False, pruned=True)
    small = _compacted(network, x, y)
    for training in (plain, masked, small):
        training.steps(2)
    peaks = [max(_peak(training) for _ in range(EVERY)) for training in (plain, masked, small)]
    words = f"most bytes of tensors alive in a step, {network}, batch {batch}"
    facts = {"beside": f"plain training ({peaks[0] / 1e6:.1f} MB)", "unit": "x"}
    return [
        bounded("prune.memory.masked", f"{words}: masks on", peaks[1] / peaks[0], bound=1.1, goal="<= 1.10x", **facts),
        bounded(
            "prune.memory.small", f"{words}: after compaction at 24 % of the MACs", peaks[2] / peaks[0], bound=0.6,
            goal="<= 0.6x", **facts,
        ),
        _file(network),
    ]  # fmt: skip


def _peak(training: Training) -> int:
    """Most bytes of tensors alive during a step: weights, state and what comes and goes."""
    most, _ = allocated(lambda: training.steps(1))
    return _held(training) + most


def _held(training: Training) -> int:
    """Bytes of parameters, gradients, buffers and the optimizer's state before a step."""
    net: nn.Module = training.net
    tensors = [*net.parameters(), *net.buffers(), *(p.grad for p in net.parameters() if p.grad is not None)]
    tensors += [t for held in training.optimizer.state.values() for t in held.values() if torch.is_tensor(t)]
    return sum(tensor.nbytes for tensor in tensors)


def _compacted(network: str, x: torch.Tensor, y: torch.Tensor) -> Training:
    """The same training after its pruner made the network small."""
    training = Training(network, x, y, compiled=False, pruned=False)
    options = {"steps": 6, "warmup": 1, "freeze": 3, "every": 1}
    training.pruner = Pruner(training.net, x[:1], Budget(macs=0.24), **options)
    training.steps(4)
    assert training.pruner.compacted
    training.pruner = None
    return training


def _file(network: str) -> Record:
    net = create(network)
    small = extract(net, plan(net, torch.zeros(1, 3, 32, 32), HEADLINE if network == "vgg16" else Budget(macs=0.24)))
    own = sum(p.nbytes for p in small.parameters())
    with tempfile.TemporaryDirectory() as folder:
        size = save(small, Path(folder) / "small.safetensors").stat().st_size
    words = f"file of the small {network}: its bytes less 64 KiB, over its parameters' {own / 1e6:.2f} MB"
    return bounded(
        "prune.file", words, (size - 64 * KIB) / own, bound=1.02, goal="<= 1.02x", beside="parameters", unit="x"
    )
