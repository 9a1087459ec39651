"""What each of two processes does: trains under DDP by Padam, and saves what it ends with."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from linnet.optim import Padam


def trained(model: nn.Module, x: torch.Tensor, y: torch.Tensor, **settings) -> None:
    opt = Padam(model.parameters(), 0.01, weight_decay=0.1, **settings)
    for _ in range(10):
        opt.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        opt.step()


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 4, generator=generator), torch.randn(8, 1, generator=generator)


def main(folder: str) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    x, y = (part[rank::2] for part in examples())
    ends = {}
    for impl in ("loop", "blocked", "foreach"):
        model = network()
        trained(DistributedDataParallel(model), x, y, impl=impl)
        ends[impl] = model.state_dict()
    model = network(torch.bfloat16)
    trained(DistributedDataParallel(model), x.bfloat16(), y.bfloat16(), stochastic_rounding=True)
    torch.save(ends | {"rounded": model.state_dict()}, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
