"""The Levenberg-Marquardt rule: a damping that follows how well the last step's decrease was predicted."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.functional import call_with
from linnet.optim.losses import Loss

EVERY = 5  # steps; with the rate 19/20 a step the constants of Martens & Grosse 2015, section 6.5
RATE = (19 / 20) ** EVERY
WELL, BADLY = 0.75, 0.25


def adapted(damping: float, *, decrease: float, predicted: float) -> float:
    """rho after a look at a step: smaller where it was predicted well, larger where badly.

    Args:
        damping: rho > 0.
        decrease: Of the loss, measured on the step's own batch.
        predicted: eta grad . Delta - (eta^2 / 2) Delta^T F Delta.

    Source:
        Martens & Grosse 2015, section 6.5.
    """
    if predicted <= 0.0 or not math.isfinite(decrease) or decrease < BADLY * predicted:
        return damping / RATE
    return damping * RATE if decrease > WELL * predicted else damping


@torch.no_grad()
def loss_now(model: nn.Module, x: Any, y: Tensor, loss: Loss) -> float:
    """The loss of a batch at the present weights; buffers (running statistics) stay as they are."""
    inputs = x if isinstance(x, tuple) else (x,)
    outputs = call_with(model, {name: value.clone() for name, value in model.named_buffers()}, inputs)
    return float(loss.value(outputs.flatten(1) if outputs.ndim > 1 else outputs.unsqueeze(1), y))
