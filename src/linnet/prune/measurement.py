"""Measurement: what one step's backward passes say of the channels, over all processes of the run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from linnet.core.processes import added
from linnet.prune.body import Body


def measurement(body: Body, *, signed: bool = False) -> tuple[Tensor, int]:
    """Takes the step's measurement; every process gets the same.

    Args:
        body: The network with its masks.
        signed: Without absolute values.

    Returns:
        float64 (channels,): sum over the samples of all processes of |sum over reads of x dL/dx|; NaN when that or a
        gradient of the weights isn't finite on some process, as in a step that a `GradScaler` skips. And the number of
        samples, 0 when no backward pass came.
    """
    found = body.take_measurement(signed=signed)
    total, samples = (torch.zeros(body.total, dtype=torch.float64), 0) if found is None else found
    if not _finite(body.model):
        total = total * math.nan
    flat = added(torch.cat([total, total.new_tensor([samples])]))
    return flat[:-1], int(flat[-1])


def _finite(model: nn.Module) -> bool:
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return bool(torch.isfinite(nn.utils.get_total_norm(gradients, float("inf"))))
