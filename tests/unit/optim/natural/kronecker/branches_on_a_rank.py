"""One of two processes whose forwards differ: other branches, no samples, wide sides, an error on one of them."""

import datetime

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from linnet.errors import InputError, TrainingError
from linnet.optim import NaturalGradient
from linnet.optim.natural.kronecker import kronecker_block

KIND = {"damping": 0.1, "lr": 0.1, "factor_every": 2, "inverse_every": 2}


class Branches(nn.Module):
    """Two ways through, and an embedding on one of them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)
        self.table = nn.Embedding(700, 8)

    def forward(self, x, way):
        h = self.b(x) + self.table((x[:, 0] > 0).long()) if way else self.a(x)
        return self.head(torch.tanh(h))


def batch(seed, samples=8):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(samples, 6, generator=draw), torch.randint(0, 3, (samples,), generator=draw)


def assert_alike(model):
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    both = [torch.empty_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    assert torch.equal(*both)
    assert bool(torch.isfinite(flat).all())


def everyday(model, opt, x, y, *args, reduction="mean"):
    opt.zero_grad()
    F.cross_entropy(model(x, *args), y, reduction=reduction).backward()
    opt.step()


def other_branches():
    """The ranks take different ways, the same way, and one that only one of them has met so far."""
    rank, model = dist.get_rank(), DistributedDataParallel(Branches(), find_unused_parameters=True)
    opt = NaturalGradient(model, "cross_entropy", "kfac", **KIND)
    before = model.module.table.weight.detach().clone()
    for step, ways in enumerate(((0, 0), (0, 1), (1, 0), (1, 1), (0, 1))):
        everyday(model, opt, *batch(2 * step + rank), ways[rank])
        assert_alike(model.module)
    assert not torch.equal(before, model.module.table.weight)
    assert opt.report().uncovered == {}


def no_samples():
    """A rank without samples: the step of the others, on both."""
    rank = dist.get_rank()
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    model = DistributedDataParallel(net)
    opt = NaturalGradient(model, "cross_entropy", "kfac", **KIND)
    for step in range(3):
        x, y = batch(step, 4 if rank == 0 else 0)
        everyday(model, opt, x, y, reduction="sum")
    assert_alike(net)


def wide_sides():
    """Sides that are kept as vectors are those of both ranks."""
    kronecker_block.HUGE, rank = 6, dist.get_rank()
    torch.manual_seed(0)
    net, alone = (nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 3)).double() for _ in range(2))
    alone.load_state_dict(net.state_dict())
    model = DistributedDataParallel(net)
    opt = NaturalGradient(model, "cross_entropy", "kfac", **KIND)
    for step in range(3):
        x, y = batch(step)
        everyday(model, opt, x.double()[rank::2], y[rank::2])
    assert_alike(net)
    kronecker_block.HUGE = 8192


def one_is_stopped():
    """What one rank can't read stops both, with the same sentence."""
    rank, found = dist.get_rank(), []
    model = Branches()
    opt = NaturalGradient(model, "cross_entropy", "kfac", **KIND)
    x, y = batch(0, 0 if rank == 1 else 5)
    try:
        opt.step((x, torch.ones(len(x))), y)
    except InputError as error:
        found.append(str(error))
    turned = DistributedDataParallel(nn.Sequential(nn.Linear(6, 1 if rank < 0 else 3)))
    opt = NaturalGradient(turned, "cross_entropy", "kfac", **KIND)
    if rank == 1:
        opt._approximation._recorded = fail
    try:
        everyday(turned, opt, *batch(0))
    except TrainingError as error:
        found.append(str(error))
    both = [None, None]
    dist.all_gather_object(both, found)
    assert both[0] == both[1], both
    assert len(found) == 2, found


def fail(watch):
    raise TrainingError("rank 1 has a fault.")


def main():
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    for case in (other_branches, no_samples, wide_sides, one_is_stopped):
        case()
    print(f"rank {dist.get_rank()} agrees", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
