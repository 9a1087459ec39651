"""The networks that are timed, and their C."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from linnet.jet import BinaryConv2d, BinaryLinear, CProgram, JetConv2d, Program, Sign, freeze, load_c

SIDE = 34


def one_conv(channels: int, *, jets: bool) -> tuple[Program, nn.Sequential]:
    """A 3 x 3 convolution of signs with its threshold, between a 1 x 1 one that makes them of pixels and a pool."""
    torch.manual_seed(0)
    layer = JetConv2d(channels, channels) if jets else BinaryConv2d(channels, channels)
    net = nn.Sequential(
        BinaryConv2d(1, channels, 1),
        nn.BatchNorm2d(channels),
        Sign(),
        layer,
        nn.BatchNorm2d(channels),
        Sign(),
        nn.MaxPool2d(SIDE - 2),
    )
    net[1].running_mean.normal_(0, 100)
    pixels = torch.randint(0, 256, (1, 1, SIDE, SIDE))
    return freeze(net.eval(), pixels), net.eval()


def small_net(kind: type, widths: tuple[int, ...] = (8, 16, 32)) -> nn.Sequential:
    """Three convolutions with pools and a linear layer, for 28 x 28."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels, side = 1, 28
    for width in widths:
        layers += [kind(channels, width), nn.BatchNorm2d(width), Sign(), nn.MaxPool2d(2)]
        layers[-3].running_mean.normal_()
        channels, side = width, (side - 2) // 2
    layers += [nn.Flatten(), BinaryLinear(channels * side * side, 10), nn.BatchNorm1d(10)]
    return nn.Sequential(*layers).eval()


def compiled(program: Program) -> CProgram:
    """The program's C at -O2."""
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        program.to_c(place)
        return load_c(place, flags=("-O2",))


def frame_of(program: Program) -> np.ndarray:
    """One random frame."""
    limits = program.graph.input
    return np.random.default_rng(0).integers(limits.low, limits.high + 1, (1, *program.graph.input_shape))


def caller(loaded: CProgram, program: Program, path: str) -> Callable[[], object]:
    """Runs one frame on a path."""
    return loaded.caller(frame_of(program), path=path)
