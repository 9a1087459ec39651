"""Fully convolutional regression networks that turn an image into a proximity map of nucleus centres."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class SmallUNet(nn.Module):
    """The fast preset: a strided stem, three scales (strides 4, 8, 16), additive skips, output on a stride-2 grid.

    All work is done at stride 4 and coarser; the head predicts a 2x2 block per cell, which pixel shuffle spreads over
    the stride-2 grid, so no convolution ever runs at a finer grid than stride 2. BatchNorm only, which
    inference folds into the convolutions; nothing sees the whole image, so tiles are exact.

    Output channels: 0 the logit of the proximity map, 1 and 2 the offset (y, x) from the cell's centre to the
    nucleus' centre in units of the output stride; with `sizes` 3 the logarithm of the nucleus' diameter over the
    reference diameter.

    Source:
        Ours; the idea of one pixel-to-pixel regression network is Xing et al. 2019.
    """

    stride: Final = 2
    period: Final = 16

    def __init__(
        self,
        widths: tuple[int, int, int] = (32, 48, 64),
        stem: int = 16,
        in_channels: int = 3,
        *,
        sizes: bool = False,
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.stem = nn.Sequential(_unit(in_channels, stem, kernel=4, stride=2), _unit(stem, fine, kernel=4, stride=2))
        self.fine = nn.Sequential(_unit(fine, fine), _unit(fine, fine))
        self.middle = nn.Sequential(_unit(fine, middle, stride=2), _unit(middle, middle), _unit(middle, middle))
        self.coarse = nn.Sequential(_unit(middle, coarse, stride=2), _unit(coarse, coarse), _unit(coarse, coarse))
        self.from_coarse = nn.Conv2d(coarse, middle, 1)
        self.join_middle = _unit(middle, middle)
        self.from_middle = nn.Conv2d(middle, fine, 1)
        self.join_fine = nn.Sequential(_unit(fine, fine), _unit(fine, fine))
        self.head = nn.Conv2d(fine, (4 if sizes else 3) * 4, 1)
        _start_empty(self.head, logits=4)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h/2 w/2"]:
        """Logit and offsets on the stride-2 grid; h and w are multiples of `period`."""
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.join_middle(middle + F.interpolate(self.from_coarse(coarse), scale_factor=2.0))
        fine = self.join_fine(fine + F.interpolate(self.from_middle(middle), scale_factor=2.0))
        return F.pixel_shuffle(self.head(fine), 2)


class ResidualUNet(nn.Module):
    """The preset `paper`: a residual encoder-decoder over four scales with a one-channel map at input resolution.

    Width doubles from `width` at each 2x2 max pool; learned 2x up-convolutions, concatenated skips, and the decoder's
    scales fused before the output. There are no offsets: the grid has stride 1.

    Source:
        After Xing et al. 2019; the counts (scales, widths, blocks per scale) are ours.
    """

    stride: Final = 1
    period: Final = 8

    def __init__(self, width: int = 32, scales: int = 4, in_channels: int = 3) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(scales)]
        self.encoder = nn.ModuleList(_Residual(i, o) for i, o in zip([in_channels, *widths[:-1]], widths, strict=True))
        self.pool = nn.MaxPool2d(2)
        down = widths[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in pairwise(down))
        self.decoder = nn.ModuleList(_Residual(2 * o, o) for o in down[1:])
        self.side = nn.ModuleList(nn.Conv2d(o, width, 1) for o in down[1:])
        self.head = nn.Conv2d(width, 1, 1)
        _start_empty(self.head, logits=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logit of the proximity map at input resolution; h and w are multiples of `period`."""
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        sides = []
        for up, block, side, skip in zip(self.up, self.decoder, self.side, skips[-2::-1], strict=True):
            x = block(torch.cat([up(x), skip], dim=1))
            sides.append(side(x))
        fused = reduce(lambda coarse, fine: fine + F.interpolate(coarse, scale_factor=2.0), sides)
        return self.head(F.relu(fused))


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _unit(inputs, outputs), nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


def _unit(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, BatchNorm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _start_empty(head: nn.Conv2d, *, logits: int) -> None:
    """Start with an almost empty map (sigmoid(-3) = 0.05): most cells hold no centre."""
    assert head.bias is not None
    with torch.no_grad():
        head.weight.mul_(0.1)
        head.bias.zero_()
        head.bias[:logits] = -3.0
