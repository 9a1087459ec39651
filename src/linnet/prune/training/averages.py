"""Averages of the weights that the loop keeps: one that `also` doesn't name can't follow when the network shrinks."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from linnet.errors import TrainingError

NEAR = 0.1  # an average is a copy at first; weights drawn independently are at a distance of about 1.4


def refuse_untold(model: nn.Module, also: Sequence[nn.Module]) -> None:
    """Raises if an `AveragedModel` of a network is in use that its pruner doesn't know.

    Its next `update_parameters` after the freeze would fail, with half of the training spent. Python's garbage
    collector knows all objects; an average of this network is one of its structure with nearly its weights.

    Args:
        model: The network, before it becomes smaller.
        also: The networks that become small with it.

    Raises:
        TrainingError: with the two ways out.
    """
    known = {id(one) for one in also}
    for one in gc.get_objects():
        if issubclass(type(one), AveragedModel) and id(one.module) not in known and _averages(one.module, model):
            raise TrainingError(
                "`also` must name the AveragedModel of this network, or its next update after the freeze would meet "
                "weights of another size. Make the pruner with Pruner(..., also=[average]), or keep the masks until "
                "`finish`: Pruner(..., compact=False). (Found at the first step.)"
            )


@torch.no_grad()
def _averages(average: nn.Module, model: nn.Module) -> bool:
    theirs, own = dict(average.named_parameters()), dict(model.named_parameters())
    if theirs.keys() != own.keys() or any(theirs[name].shape != own[name].shape for name in own):
        return False
    pairs = [(theirs[name].double().cpu(), own[name].double().cpu()) for name in own if own[name].ndim > 1]
    apart = sum(float((a - b).square().sum()) for a, b in pairs)
    size = sum(float(b.square().sum()) for _, b in pairs)
    return apart < NEAR**2 * size
