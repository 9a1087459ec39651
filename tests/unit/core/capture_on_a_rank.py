"""One process of `test_capture_in_processes.py`: captures under DDP and compares with the plain module."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from linnet.core import Capture


def main():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(36, 3)).double()
    parallel = DistributedDataParallel(model)
    x = torch.randn(3 + rank, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(rank))
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
    dist.barrier()
    dist.destroy_process_group()
    print(f"rank {rank} agrees")


if __name__ == "__main__":
    main()
