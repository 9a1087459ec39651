"""One of two processes: K-FAC in DDP against one process with the joined batch, and who found which inverse."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from linnet.optim import NaturalGradient, kronecker_block, small_block

STEPS = 5
COUNT = {"found": 0}


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.GroupNorm(2, 6), nn.Tanh(), nn.Conv2d(6, 6, 3, groups=2), nn.Flatten(), nn.Linear(24, 3)
    ).double()


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 2, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (12,), generator=generator)


def make(model, fisher):
    kind = {"fisher": fisher, "damping": 1e-2, "factor_every": 2, "inverse_every": 2, "lr": None, "c": 0.3}
    return NaturalGradient(model, "cross_entropy", "kfac", **kind)


def train(model, network, fisher, *, part=0, parts=1):
    opt = make(network, fisher)
    for seed in range(STEPS):
        x, y = (v.chunk(parts)[part] for v in batch(seed))
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    return opt


def counting(invert):
    def counted(*args):
        COUNT["found"] += 1
        return invert(*args)

    return counted


def main():
    references = {}
    for fisher in ("model", "empirical"):
        alone = net()
        references[fisher] = alone, train(alone, alone, fisher)
    dist.init_process_group("gloo")
    kronecker_block.invert, small_block.invert = counting(kronecker_block.invert), counting(small_block.invert)
    for fisher, (alone, reference) in references.items():
        compare(fisher, alone, reference)
    print(f"rank {dist.get_rank()} agrees", flush=True)
    dist.destroy_process_group()


def compare(fisher, alone, reference):
    rank, COUNT["found"] = dist.get_rank(), 0
    model = DistributedDataParallel(net())
    opt = train(model, model if rank == 0 else model.module, fisher, part=rank, parts=2)  # the wrapper is seen through
    for (name, p), q in zip(model.module.named_parameters(), alone.parameters(), strict=True):
        error = float((p - q).detach().abs().max() / q.detach().abs().max())
        assert error < 1e-5, (name, error)
    assert abs(opt.alpha / reference.alpha - 1) < 1e-5, (opt.alpha, reference.alpha)
    blocks = opt.state_dict()["natural"]["approximation"]["blocks"]
    mine = [t for block in blocks.values() for t in (block["a"], block.get("b")) if t is not None]
    mine += [block["a_inverse"]["tensors"][0] for block in blocks.values()]
    flat = torch.cat([t.reshape(-1) for t in mine])
    both = [torch.empty_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    assert torch.equal(both[0], both[1])
    found = torch.tensor([COUNT["found"]])
    counts = [torch.empty_like(found) for _ in range(2)]
    dist.all_gather(counts, found)
    refreshes, sides = 3, 3 * 2 + 1  # three Kronecker pairs and one exact block, at steps 0, 2 and 4
    assert int(sum(counts)) == refreshes * sides, counts
    assert 0 < int(found) < refreshes * sides


main()
