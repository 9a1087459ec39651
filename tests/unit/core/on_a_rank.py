"""One process of `test_in_processes.py`: captures and resizes under DDP and compares with the plain module."""

import copy

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from linnet.core import Capture, ChannelGraph, resize


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(36, 3)
    return nn.Sequential(*layers).double()


def batch(rank):
    return torch.randn(3 + rank, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(rank))


def capture(rank):
    """Captures of the wrapped and the inner module are those of the plain one; gradients are this rank's."""
    model = network()
    parallel = DistributedDataParallel(model)
    x = batch(rank)
    with Capture(model) as expected:
        model(x).square().sum().backward()
    local = model[3].weight.grad.clone()
    for wrapped in (parallel, model):
        model.zero_grad()
        with Capture(wrapped) as cap:
            parallel(x).square().sum().backward()
        assert cap.names == ["0", "3"], cap.names
        for name in cap.names:
            assert torch.equal(cap[name].g, expected[name].g), f"g of {name} on rank {rank}"
            assert torch.equal(cap[name].gram(), expected[name].gram())
        # g is this rank's, before DDP averages: its gradients sum to the local gradient, not to the averaged one
        assert torch.allclose(cap["3"].per_sample().sum(0), local, atol=1e-12)
        assert not torch.allclose(model[3].weight.grad, local)


def edit(rank):
    """Trained under DDP, resized on each rank, trained on: weights and optimizer state are the same on both ranks."""
    torch.manual_seed(100 + rank)  # the ranks' random states differ: the edit must not depend on them
    model = network()
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    graph = ChannelGraph(parallel, batch(rank))
    for _ in range(2):
        optimizer.zero_grad()
        parallel(batch(rank)).square().sum().backward()
        optimizer.step()
    average = copy.deepcopy(model)
    options = {"split": "random", "rng_seed": 5, "also": [average]}
    new, average = resize(parallel, graph, {"0": [2, 0, 1, 3]}, optimizer=optimizer, **options)
    assert not isinstance(new, DistributedDataParallel)
    parallel = DistributedDataParallel(new)
    for _ in range(2):
        optimizer.zero_grad()
        parallel(batch(rank)).square().sum().backward()
        optimizer.step()
    state = [v for held in optimizer.state.values() for v in held.values()]
    for tensor in [*new.parameters(), *average.parameters(), *state]:
        theirs = [torch.empty_like(tensor) for _ in range(2)]
        dist.all_gather(theirs, tensor.detach())
        assert torch.equal(theirs[0], theirs[1]), f"rank {rank} differs"


def main():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    capture(rank)
    edit(rank)
    dist.barrier()
    dist.destroy_process_group()
    print(f"rank {rank}: captures and edits agree")


if __name__ == "__main__":
    main()
