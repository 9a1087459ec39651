"""Torch-Pruning as a rival: its group-norm pruner, brought to the same budget."""

from __future__ import annotations

import copy
import importlib.util

import torch
from torch import nn

from linnet import cost

INSTALLED = importlib.util.find_spec("torch_pruning") is not None
_HALVINGS = 12


def group_norm_pruned(
    model: nn.Module, example: torch.Tensor, limit: int, *, most_params: int | None = None
) -> nn.Module:
    """The largest network within the limits that Torch-Pruning's group norm makes of a trained one, found by bisection.

    Its pruner takes a share of channels, not of cost; widths are left to it. Its sparse training isn't used.

    Args:
        model: A network with a last layer `head`; only read.
        example: Zeros of one image.
        limit: Most multiply-accumulates.
        most_params: Most parameters; None: any number.
    """
    low, high = 0.0, 0.98
    best = _pruned(model, example, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        small = _pruned(model, example, middle)
        found = cost(small, example)
        if found.macs <= limit and (most_params is None or found.params <= most_params):
            best, high = small, middle
        else:
            low = middle
    return best


def _pruned(model: nn.Module, example: torch.Tensor, ratio: float) -> nn.Module:
    import torch_pruning

    small = copy.deepcopy(model).train()
    pruner = torch_pruning.pruner.GroupNormPruner(
        small,
        example.to(next(small.parameters()).device),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=ratio,
        max_pruning_ratio=0.95,
        global_pruning=True,
        ignored_layers=[small.head],
    )
    pruner.step()
    return small
