"""One batch out of the parts that the processes of a run hold: all then find the same step."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from linnet.core.linearise import DROPOUTS
from linnet.core.processes import world
from linnet.errors import InputError


def joined(model: nn.Module, x: Any, y: Tensor) -> tuple[Any, Tensor]:
    """Inputs and targets of all processes, in the order of ranks; of a process on its own those given.

    A Gram matrix needs every pair of samples, wherever they are. So each process does the whole step on the whole
    batch: two processes equal one with the joined batch, and take as long.

    Args:
        model: The network, for what may differ between processes.
        x: Inputs of this process, or a tuple of them.
        y: Its targets; processes may hold unequal numbers of samples.

    Raises:
        InputError: dropout is active, whose masks would differ between the processes.
    """
    if world()[1] == 1:
        return x, y
    for path, module in model.named_modules():
        if isinstance(module, DROPOUTS) and module.training and module.p > 0:
            raise InputError(
                f"`{path}` is active dropout, and step(x, y) in a run of {world()[1]} processes needs the same network "
                "in all. Call model.eval(), or use approx='kfac' with loss.backward(); opt.step()."
            )
    inputs = tuple(_gathered(part) for part in x) if isinstance(x, tuple) else _gathered(x)
    return inputs, _gathered(y)


def _gathered(part: Tensor) -> Tensor:
    """The parts of all processes one below the other; shorter ones travel padded."""
    lengths = [torch.zeros(1, dtype=torch.int64, device=part.device) for _ in range(world()[1])]
    dist.all_gather(lengths, torch.tensor([len(part)], device=part.device))
    longest = max(int(length) for length in lengths)
    padded = part.new_zeros(longest, *part.shape[1:])
    padded[: len(part)] = part
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([piece[: int(length)] for piece, length in zip(parts, lengths, strict=True)])
