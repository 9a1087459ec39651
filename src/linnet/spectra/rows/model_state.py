"""A block of code that leaves a network and torch's random numbers bit for bit as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def preserved_state(model: nn.Module) -> Iterator[None]:
    """Puts back modes, buffers and the state of torch's generators, whatever the forwards inside did to them.

    Parameters and gradients aren't written by what is computed here: derivatives are taken with respect to activations.

    Args:
        model: The network.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer._version, buffer.detach().clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, version, before in buffers:
                if buffer._version != version:
                    buffer.copy_(before)


def versions(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """What changes when a parameter or a buffer is written to or replaced."""
    return tuple((id(tensor), tensor._version) for tensor in (*model.parameters(), *model.buffers()))
