"""The processes of a distributed run: how many, sums over all, the tensors of all, and those of rank 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from linnet.errors import LinnetError


def world() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) for a process on its own."""
    if not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def added(values: Tensor, group: Any = None) -> Tensor:
    """The sum over all processes (of a group), in place where they can carry the tensor's device."""
    if world()[1] > 1:
        carried = _carried(values, group)
        dist.all_reduce(carried, group=group)
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


def rows_of_all(values: Tensor) -> Tensor:
    """The rows of every process, one below the other by rank; processes may hold different numbers of them."""
    if world()[1] == 1:
        return values
    lengths = [int(length) for length in gathered(torch.tensor([len(values)], device=values.device))]
    padded = values.new_zeros(max(lengths), *values.shape[1:])
    padded[: len(values)] = values
    return torch.cat([part[:length] for part, length in zip(gathered(padded), lengths, strict=True)])


def objects_of_all(value: Any) -> list[Any]:
    """A small value of every process, by rank; it is pickled."""
    count = world()[1]
    if count == 1:
        return [value]
    found: list[Any] = [None] * count
    dist.all_gather_object(found, value)
    return found


def together(check: Callable[[], None]) -> None:
    """Runs a check on every process; where it fails on one, all raise the same error.

    Args:
        check: Raises a `LinnetError`, or nothing.
    """
    found: LinnetError | None = None
    try:
        check()
    except LinnetError as error:
        found = error
    for error in objects_of_all(found):
        if error is not None:
            raise error


def of_first(values: Tensor, group: Any = None) -> None:
    """Overwrites a tensor by rank 0's."""
    if world()[1] > 1:
        carried = _carried(values, group)
        dist.broadcast(carried, src=0, group=group)
        if carried is not values:
            values.copy_(carried)


def numbers_of_first(numbers: Sequence[int]) -> list[int]:
    """Rank 0's whole numbers."""
    carried = torch.tensor(list(numbers), dtype=torch.int64)
    of_first(carried)
    return carried.tolist()


def _carried(values: Tensor, group: Any = None) -> Tensor:
    """On a device that the processes can exchange: nccl knows GPUs only."""
    return values.cuda() if dist.get_backend(group) == "nccl" and not values.is_cuda else values
