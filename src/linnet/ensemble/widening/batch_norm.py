"""Statistics of batch norms, measured again on data."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from linnet.errors import InputError

_NORMS = nn.modules.batchnorm._BatchNorm
BATCHES = 8  # of the data that is given; linnet's choice


def has_statistics(network: nn.Module) -> bool:
    """Whether a network holds running means and variances."""
    return any(isinstance(m, _NORMS) and m.track_running_stats for m in network.modules())


@torch.no_grad()
def measure_statistics(network: nn.Module, batches: Iterable[Any], *, most: int = BATCHES) -> int:
    """Replaces the running means and variances by averages over batches.

    Only the batch norms are in train mode meanwhile: dropout is off. Every mode is as before afterwards.

    Args:
        network: Changed in place.
        batches: Inputs, or tuples that begin with the inputs.
        most: Batches to use.

    Returns:
        How many were used; 0 when the network has no such statistics.

    Raises:
        InputError: there is no batch.

    Example:
        >>> net = nn.BatchNorm1d(2)
        >>> measure_statistics(net, [torch.ones(8, 2)]), net.running_mean.tolist()
        (1, [1.0, 1.0])
    """
    norms = [m for m in network.modules() if isinstance(m, _NORMS) and m.track_running_stats]
    if not norms:
        return 0
    used = list(islice(batches, most))
    if not used:
        raise InputError("`data` gave no batch; batches of inputs are needed to measure the batch norms' statistics.")
    modes = {module: module.training for module in network.modules()}
    momenta = [norm.momentum for norm in norms]
    try:
        network.eval()
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over all batches
        for batch in used:
            inputs = batch if isinstance(batch, Tensor) else batch[0]
            network(inputs.to(next(network.parameters()).device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training
    return len(used)
