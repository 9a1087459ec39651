"""Statistics of batch norms, measured again on data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from linnet.engine import Loader
from linnet.ensemble.arguments import running
from linnet.ensemble.outputs import evaluating
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
    momenta = [norm.momentum for norm in norms]
    with evaluating(network):
        try:
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
    return len(used)


def batches_of_inputs(data: Any, network: nn.Module) -> list[Tensor]:
    """The inputs of the first batches of `data`, after a network has run on one of them.

    Args:
        data: A loader, or an iterable of batches: inputs, or tuples that begin with the inputs. Gone through once.
        network: Asked in eval mode, without gradients; its modes are restored.

    Raises:
        InputError: it is something else, gives no batch, or the network can't run on its batches.
    """
    if isinstance(data, Tensor) or not isinstance(data, (Loader, Iterable)) or isinstance(data, (str, Mapping)):
        kind = "one tensor" if isinstance(data, Tensor) else repr(data)
        raise InputError(f"`data` must be a loader or a list of batches (got {kind}). Give batches: x.split(64).")
    found = list(islice(data.epoch(0) if isinstance(data, Loader) else data, BATCHES))
    inputs: list[Any] = [batch[0] if isinstance(batch, (tuple, list)) and batch else batch for batch in found]
    if not inputs:
        raise InputError("`data` gave no batch; batches of inputs are needed to measure the batch norms' statistics.")
    wrong = next((type(one).__name__ for one in inputs if not isinstance(one, Tensor)), None)
    if wrong is not None:
        raise InputError(f"`data` must give batches of inputs, each a tensor (got {wrong}). Give x.split(64).")
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    with evaluating(network), torch.no_grad(), running("data", network, inputs[0]):
        network(inputs[0].to(device))
    return inputs
