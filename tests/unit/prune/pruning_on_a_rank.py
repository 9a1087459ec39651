"""One of two processes under torchrun: pruning in DDP beside one process with the joined batch, and a run that dies.

The first life compares everything and then loses rank 1; torchrun starts both again, and the second life ends the run.
"""

import logging
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from linnet import cost
from linnet.data import ArrayLoader
from linnet.engine import Listener, fit
from linnet.errors import TrainingError
from linnet.models import create
from linnet.prune import Budget, Pruner, Pruning

STEPS = 12
EXAMPLE = torch.zeros(1, 2, 6, 6)


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 10, 3), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3)
    ).double()


def normed():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(24, 3)
    )


def batch(step, count=12):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(count, 2, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (count,), generator=generator)


def pruner_of(model, **options):
    kind = {"align": 1, "steps": STEPS, "warmup": 2, "every": 2} | options
    return Pruner(model, EXAMPLE.to(next(model.parameters()).dtype), kind.pop("budget", Budget(macs=0.4)), **kind)


def train(call, model, pruner, *, rank=0, odd=False, dtype=torch.float64, steps=STEPS):
    """The loss of each rank is such that DDP's mean of gradients is the gradient of the joined batch's mean."""
    optimizer, seen = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), []
    world = dist.get_world_size() if dist.is_initialized() else 1
    for step in range(steps):
        x, y = batch(step, 11 if odd else 12)
        mine = slice(None) if world == 1 else [slice(0, 6), slice(6, None)][rank]
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(call(x[mine].to(dtype)), y[mine], reduction="sum")
        (losses * world / len(x)).backward()
        optimizer.step()
        seen.append(pruner.step(optimizer))
    return seen


class Wrapped:
    """A user's loop: DDP is made anew when the network became smaller."""

    def __init__(self, model):
        self.model = DistributedDataParallel(model)

    def __call__(self, x):
        return self.model(x)

    def rewrap(self, model):
        self.model = DistributedDataParallel(model)


def compare(alone, reference, *, odd):
    """Masks, importances and weights of two ranks are those of one process with the joined batch."""
    model = net()
    wrapped = Wrapped(model)
    pruner = pruner_of(model, rewrap=wrapped.rewrap)
    seen = train(wrapped, model, pruner, rank=dist.get_rank(), odd=odd)
    assert [step.compacted for step in seen].count(True) == 1
    assert pruner.plan() == reference.plan()
    np.testing.assert_allclose(
        pruner._importance.memory.utility, reference._importance.memory.utility, rtol=0, atol=1e-12
    )
    for mine, its in zip(model.parameters(), alone.parameters(), strict=True):
        assert float((mine - its).detach().abs().max()) <= 1e-12


def refused(make, words):
    """An error on both ranks; model and optimizer are as before."""
    model = net()
    pruner = make(model)
    wrapped, before = DistributedDataParallel(model), [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)

    def steps():
        for step in range(STEPS):
            x, y = batch(step)
            optimizer.zero_grad()
            nn.functional.cross_entropy(wrapped(x), y).backward()
            optimizer.step()
            if step == 3 and "masks" in words and dist.get_rank() == 1:
                pruner._importance.memory.utility[:] = pruner._importance.memory.utility[::-1].copy()
            pruner.step(optimizer)

    with pytest.raises(TrainingError, match=words):
        steps()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p is q for p, q in zip(optimizer.param_groups[0]["params"], model.parameters(), strict=True))


def masked_to_the_end(out):
    """Without `rewrap` the first step says that compaction is off; `finish` takes rank 0's batch norm buffers."""
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logging.getLogger("linnet.prune.pruner").addHandler(handler)
    model = normed()
    pruner = pruner_of(model)
    seen = train(DistributedDataParallel(model), model, pruner, rank=dist.get_rank(), dtype=torch.float32)
    assert len([words for words in told if "Give Pruner(..., rewrap=function)" in words]) == 1, told
    assert not any(step.compacted for step in seen)
    own = model[1].running_mean.clone()
    small = pruner.finish()
    buffers = [torch.empty_like(own) for _ in range(2)]
    dist.all_gather(buffers, own)
    kept = list(pruner.plan().kept["0"])
    assert not torch.equal(buffers[0], buffers[1])
    assert torch.equal(small[1].running_mean, buffers[0][kept])
    save_file(small.state_dict(), out / f"masked-{dist.get_rank()}.safetensors")


class Task:
    def loss(self, model, batch):
        images, labels = batch
        return nn.functional.cross_entropy(model(images), labels), {}

    def validate(self, model, compute):
        return {}


class Die(Listener):
    """Rank 1 is killed at an update of the first life."""

    def __init__(self, step):
        self.step = step

    def on_gradients(self, run):
        if run.step == self.step and run.rank == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)


def run(out, name, *listeners):
    """24 updates of 8 images, the last of each epoch of 3: an odd one."""
    torch.manual_seed(0)
    model = create("resnet", width=8, depth=8)
    draw = torch.Generator().manual_seed(0)
    images, labels = torch.randn(43, 3, 8, 8, generator=draw), torch.randint(0, 10, (43,), generator=draw)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    pruner = Pruner(model, images[:1], Budget(macs=0.4), align=2, steps=24, warmup=3)
    loader = ArrayLoader((images, labels), batch_size=8, rng_seed=0, drop_last=False)
    fit(
        model, Task(), loader, optimizer=optimizer, epochs=4, listeners=[Pruning(pruner), *listeners],
        folder=out / name, checkpoint_every=5, progress="off",
    )  # fmt: skip
    small = pruner.finish()
    assert cost(model, images[:1]) == cost(small, images[:1]) == pruner.plan().cost
    save_file(small.state_dict(), out / f"{name}-{dist.get_rank()}.safetensors")


def main(out):
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        references = {}
        for odd in (False, True):
            alone = net()
            reference = pruner_of(alone)
            train(alone, alone, reference, odd=odd)
            references[odd] = alone, reference
        dist.init_process_group("gloo")
        rank = dist.get_rank()
        for odd, pair in references.items():
            compare(*pair, odd=odd)
        refused(lambda model: pruner_of(model, budget=Budget(macs=0.4 + 0.1 * rank)), "budget.*rank 1")
        refused(lambda model: pruner_of(model, rewrap=lambda _: None), "masks.*rank 1")
        masked_to_the_end(out)
        run(out, "whole")
    run(out, "killed", Die(17))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
