"""A copy of a network for the recorder, in which each jet layer is one operator that names its place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnet.core.program import module_copy
from linnet.jet.layers import BinaryConv2d, BinaryLinear, JetConv2d, Sign

JetLayer = JetConv2d | BinaryConv2d | BinaryLinear | Sign
LAYERS = (JetConv2d, BinaryConv2d, BinaryLinear, Sign)


class _Convolution(nn.Module):
    def __init__(self, layer: JetConv2d | BinaryConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.kernels().to(layer.latents.dtype), requires_grad=False)
        self.stride, self.padding = layer.stride, layer.padding

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, None, self.stride, self.padding)


class _Linear(nn.Module):
    def __init__(self, layer: BinaryLinear) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.kernels().to(layer.latents.dtype), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight)


class _Sign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        # Never computed with: the recorder sees shapes. torch.sign would make it load a computer algebra system (3 s).
        return torch.neg(x)


def jet_layers(model: nn.Module) -> dict[str, JetLayer]:
    """Dotted path -> layer; one that stands in several places has its first."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LAYERS)}


def with_stand_ins(model: nn.Module) -> nn.Module:
    """A copy that shares the tensors and runs one operator where a jet layer stands: convolution, linear or sign."""
    copy = module_copy.rebuild(model, lambda _, tensor: tensor)
    made: dict[int, nn.Module] = {}
    if isinstance(copy, LAYERS):
        return _stand_in(copy)
    for parent in list(copy.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, LAYERS):
                parent._modules[name] = made.setdefault(id(child), _stand_in(child))
    return copy


def _stand_in(layer: Any) -> nn.Module:
    if isinstance(layer, Sign):
        return _Sign()
    return _Linear(layer) if isinstance(layer, BinaryLinear) else _Convolution(layer)
