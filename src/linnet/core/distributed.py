"""The processes of a distributed run: how many, sums over all, and whether all hold the same."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) for a process on its own."""
    if not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def added(values: Tensor) -> Tensor:
    """The sum over all processes, in place where they can carry the tensor's device."""
    if world()[1] > 1:
        carried = _carried(values)
        dist.all_reduce(carried)
        return carried.to(values.device)
    return values


def gathered(values: Tensor) -> list[Tensor]:
    """The tensor of every process, by rank; sizes and types are the same on all."""
    count = world()[1]
    if count == 1:
        return [values]
    carried = _carried(values)
    found = [torch.empty_like(carried) for _ in range(count)]
    dist.all_gather(found, carried)
    return [one.to(values.device) for one in found]


def of_first(values: Tensor) -> None:
    """Overwrites a tensor by rank 0's."""
    if world()[1] > 1:
        carried = _carried(values)
        dist.broadcast(carried, src=0)
        if carried is not values:
            values.copy_(carried)


def _carried(values: Tensor) -> Tensor:
    """On a device that the processes can exchange: nccl knows GPUs only."""
    return values.cuda() if dist.get_backend() == "nccl" and not values.is_cuda else values
