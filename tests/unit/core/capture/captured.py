"""Networks that captures are tried on."""

import torch
from torch import nn

X = torch.linspace(-1, 1, 5 * 2 * 9).reshape(5, 2, 3, 3)


def net():
    """A convolution, batch norm, an in-place activation and a linear layer, in eval mode."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 9, 3)
    ).eval()


def hooks(model):
    """Every hook that hangs on a module of the model."""
    return [
        hook
        for module in model.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        for hook in getattr(module, kind).values()
    ]
