"""Ranks: the processes of a run. One, unless `torchrun` started several; then gradients are averaged by torch's DDP."""

import atexit
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from linnet.core.distributed import added, of_first
from linnet.engine.compute.device import Compute
from linnet.errors import TrainingError


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run.

    Small host-side numbers (the loss, whether to stop) go over their own gloo group, so that a GPU is never waited for.

    Attributes:
        rank: Of this process; 0 writes files.
        world: How many there are.
        control: Group for host-side numbers; None for a single process.
    """

    rank: int = 0
    world: int = 1
    control: Any = None

    @classmethod
    def join(cls, compute: Compute) -> "Ranks":
        """Joins the processes that `torchrun` started, or stands alone when there is no `torchrun`.

        The process group is made once (nccl for GPUs, gloo for CPUs), is used by every later run, and is taken down
        when the process ends. One that you made yourself is used as it is.

        Args:
            compute: Where this process computes.

        Raises:
            TrainingError: the environment names several processes, and they don't find each other.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
            return cls()
        if not dist.is_initialized():
            on_gpu = compute.torch_device.type == "cuda"
            if on_gpu:
                torch.cuda.set_device(compute.torch_device)
            try:
                dist.init_process_group("nccl" if on_gpu else "gloo")
            except (ValueError, RuntimeError) as error:
                raise TrainingError(
                    f"The {os.environ['WORLD_SIZE']} processes of WORLD_SIZE didn't find each other ({error}). "
                    "Start them with torchrun --nproc-per-node=N, or unset WORLD_SIZE."
                ) from error
            atexit.register(dist.destroy_process_group)
        if dist.get_world_size() == 1:
            return cls()
        control = None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
        return cls(dist.get_rank(), dist.get_world_size(), control)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network as it must be called in training: itself, or in DDP with rank 0's weights on every process."""
        return model if self.world == 1 else DistributedDataParallel(model)

    def mean(self, values: list[float]) -> list[float]:
        """The mean of each value over the processes; NaN if it is NaN on any."""
        if self.world == 1:
            return values
        return (added(torch.tensor(values, dtype=torch.float64), self.control) / self.world).tolist()

    def any(self, asked: bool) -> bool:  # noqa: FBT001  a value to be reduced, not an option
        """Whether it is true on any process."""
        return self.mean([float(asked)])[0] > 0

    def of_first(self, values: Mapping[str, float]) -> dict[str, float]:
        """Rank 0's numbers, on every process.

        Args:
            values: By name; the names are the same on all processes.
        """
        if self.world == 1:
            return dict(values)
        numbers = torch.tensor([values[name] for name in values], dtype=torch.float64)
        of_first(numbers, self.control)
        return dict(zip(values, numbers.tolist(), strict=True))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites tensors by rank 0's (buffers, which each process has from its own part of the batches)."""
        if self.world > 1:
            for tensor in tensors:
                of_first(tensor)
