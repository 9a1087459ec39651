"""The same small network with eight types of layers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, kernel_family

KINDS = ("float", "binary", "jet_free", "jet_first_one", "jet_shift", "jet_first", "one_hot", "jet_frozen")
JETS = ("jet_free", "jet_first_one", "jet_shift", "jet_first", "jet_frozen")
FROZEN = ("binary", *JETS)
"""Those that become integer programs."""


class OneHotJet(nn.Module):
    """A jet layer that chooses one of the nine 3 x 3 kernels a pair by the largest of nine numbers.

    Forward takes the kernel of the largest number, backward the softmax's gradient (straight through).

    Args:
        cin: Input channels.
        cout: Output channels.
        pad_value: Value of one pixel of padding.
    """

    def __init__(self, cin: int, cout: int, pad_value: float) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(cout, cin, 9) * 0.5)
        kernels = [kernel_family.kernel(3, qy, qx) for qy in range(3) for qx in range(3)]
        self.register_buffer("bank", torch.from_numpy(np.stack(kernels)).float().reshape(9, 9))
        self.bank: Tensor
        self.pad_value = pad_value

    def forward(self, x: Tensor) -> Tensor:
        """Sums (N, cout, H, W) of (N, cin, H, W)."""
        soft = self.latents.softmax(-1)
        hard = functional.one_hot(self.latents.argmax(-1), 9).to(soft.dtype)
        kernels = ((hard + (soft - soft.detach())) @ self.bank).reshape(*self.latents.shape[:2], 3, 3)
        return functional.conv2d(functional.pad(x, (1,) * 4, value=self.pad_value), kernels)


def convolution(kind: str, cin: int, cout: int) -> nn.Module:
    """A 3 x 3 convolution of a type, one pixel of padding: -1, which is black in the first layer."""
    if kind == "float":
        return nn.Conv2d(cin, cout, 3, padding=1, bias=False)
    if kind == "binary":
        return BinaryConv2d(cin, cout, 3, padding=1)
    if kind == "one_hot":
        return OneHotJet(cin, cout, -1)
    taps, normalise = ("first_one" if kind == "jet_first_one" else "free"), ("shift" if kind == "jet_shift" else None)
    layer = JetConv2d(cin, cout, 3, taps, padding=1, normalise=normalise)
    layer.latents.requires_grad_(kind != "jet_frozen")
    return layer


def network(kind: str, width: int, side: int, classes: int) -> nn.Sequential:
    """Two convolutions, each with pooling, batch norm and sign (ReLU for "float"), and a linear layer.

    Args:
        kind: One of `KINDS`; "jet_first" has free jets in the first convolution and binary kernels in the second.
        width: Channels of the first convolution; the second has twice as many.
        side: Pixels of an image's side.
        classes: Scores.
    """
    layers: list[nn.Module] = []
    channels = 1
    kinds = ("jet_free", "binary") if kind == "jet_first" else (kind, kind)
    for own, out in zip(kinds, (width, 2 * width), strict=True):
        layers += [convolution(own, channels, out), nn.MaxPool2d(2)]
        layers += [nn.BatchNorm2d(out, momentum=0.3), nn.ReLU() if kind == "float" else Sign()]
        channels = out
    features = channels * (side // 4) ** 2
    linear = nn.Linear(features, classes, bias=False) if kind == "float" else BinaryLinear(features, classes)
    return nn.Sequential(*layers, nn.Flatten(), linear, nn.BatchNorm1d(classes, momentum=0.3))
