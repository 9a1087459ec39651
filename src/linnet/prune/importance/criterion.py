"""Criterion: the measure that ranks channels, and its measurement on a network that isn't trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from linnet.arrays import Floats
from linnet.core import ChannelGraph
from linnet.core.program.module_copy import rebuild
from linnet.errors import InputError
from linnet.prune.importance.from_weights import Normalise
from linnet.prune.importance.running_mean import RunningMean
from linnet.prune.masks.masks import Masks
from linnet.prune.masks.reads import maskable_reads

Criterion = Literal["taylor", "bn_taylor", "l1", "bn_scale", "random"]
"""The measure that ranks channels.

    taylor     mean over samples of |t|, with t = sum over the channel's reads and positions of x dL/dx: the change of
               the sample's loss without the channel, to first order
    bn_taylor  |sum over samples of t|; for ReLU, pooling and addition that is |gamma dL/dgamma + beta dL/dbeta| of the
               batch norm that scales the channel. Contributions of unlike samples cancel in it
    l1         sum of |w| over the weights that make the channel
    bn_scale   |gamma| of the batch norms that scale it
    random     drawn once
"""

FROM_DATA = ("taylor", "bn_taylor")
Loss = Callable[[Any, Any], Tensor]


def from_data(
    model: nn.Module,
    graph: ChannelGraph,
    names: tuple[str, ...],
    criterion: str,
    data: Iterable[Any] | None,
    *,
    loss: Loss = cross_entropy,
    normalise: Normalise = "max",
) -> dict[str, Floats]:
    """Importances of channel classes from batches of data, each class divided by its largest or its mean.

    The network is measured in eval mode, on a copy.

    Args:
        model: The unwrapped network of the graph; only read.
        graph: Its channel graph.
        names: The classes.
        criterion: "taylor" or "bn_taylor".
        data: Batches (inputs, targets); inputs may be a tensor or a tuple of arguments.
        loss: Of (outputs, targets), a scalar.
        normalise: What each class is divided by: its "max" or its "mean".

    Returns:
        Class name -> (size,).

    Raises:
        InputError: there is no data, a batch isn't a pair, or a loss or gradient isn't finite.
    """
    copied = rebuild(model, lambda _, tensor: tensor.detach().clone()).eval()
    masks = Masks(copied, graph, maskable_reads(copied, graph)[0], names)
    masks.measuring, masks.in_eval = True, True
    memory = RunningMean(masks.slices, masks.total, normalise=normalise)
    totals: list[Tensor] = []
    samples = 0
    for batch in [] if data is None else data:
        inputs, targets = pair(batch, "data")
        loss(copied(*inputs), targets).backward()
        measured = masks.measured(signed=criterion == "bn_taylor")
        if measured is None:
            raise InputError("`loss` must depend on the network's weights: a scalar of (outputs, targets).")
        # The mean loss of a batch has a gradient 1/n as large for each sample: batches of unequal size weigh alike.
        totals.append(measured[0] * measured[1])
        samples += measured[1]
        copied.zero_grad(set_to_none=True)
    if not totals:
        raise InputError(f"criterion={criterion!r} needs `data`: batches (inputs, targets) of the network's task.")
    total = torch.stack(totals).sum(dim=0)
    if not bool(torch.isfinite(total).all()):
        raise InputError(
            "A loss or gradient is NaN or infinite, so no importance can be measured. Check weights and data."
        )
    memory.take(total, samples, decay=0.0, live=masks.kept)
    return memory.by_class()


def pair(batch: Any, argument: str) -> tuple[tuple[Any, ...], Any]:
    """The arguments of the network, and the targets.

    Args:
        batch: (inputs, targets); inputs may be a tensor or a tuple of arguments.
        argument: The argument that gave it, for the message.

    Raises:
        InputError: it isn't a pair.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise InputError(
            f"`{argument}` must give pairs (inputs, targets), as a DataLoader does (got a {type(batch).__name__})."
        )
    inputs, targets = batch
    return inputs if isinstance(inputs, tuple) else (inputs,), targets
