"""What each process of the torchrun test does: trains in several ways and saves what it ends with."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from linnet.engine import Listener
from linnet.errors import NonFiniteLoss
from linnet.optim import NaturalGradient
from tests.unit.engine.small import Classify, StopAt, network, train


class NanOnSecond(Classify):
    """Gives NaN on rank 1 only, at the sixth update."""

    calls = 0

    def loss(self, model, batch):
        loss, metrics = super().loss(model, batch)
        self.calls += 1
        return loss * float("nan") if dist.get_rank() == 1 and self.calls == 6 else loss, metrics


class CountRows(Classify):
    """Asserts that each process sees its part of a batch of 8."""

    def loss(self, model, batch):
        assert len(batch[0]) == 4
        return super().loss(model, batch)


def natural(**options):
    """Trains with an optimizer that takes the batch itself: the exact natural gradient."""
    model = network(dropout=0.0, norm=False)
    optimizer = NaturalGradient(model, "cross_entropy", "exact", damping=0.5, lr=0.3, momentum=0.5)
    return train(model=model, optimizer=optimizer, grad_clip=None, **options)


def main(out):
    def keep(name, result):
        tensors = result.model.state_dict() | {f"average.{k}": v for k, v in result.averaged.items()}
        losses = torch.tensor([epoch.loss for epoch in result.history], dtype=torch.float64)
        save_file(tensors | {"losses": losses}, out / f"{name}-{dist.get_rank()}.safetensors")

    keep("joined", train(out / "joined", model=network(dropout=0.0, norm=False), task=CountRows()))
    keep("natural", natural())
    rank = dist.get_rank()
    # each process begins with other weights: rank 0's count
    keep("whole", train(model=network(rng_seed=1 + rank)))
    listeners: list[Listener] = [StopAt(7)] if rank == 1 else []
    stopped = train(out / "run", listeners=listeners)
    assert stopped.steps == 7, stopped
    keep("resumed", train(out / "run"))
    try:
        train(out / "nan", task=NanOnSecond(), checkpoint_every=2)
    except NonFiniteLoss as error:
        (out / f"nan-{rank}.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
