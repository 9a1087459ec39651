"""BatchNorm folded into the convolution before it, for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norm(network: Module) -> Module:
    """A copy in eval mode whose BatchNorms that follow a convolution in a `Sequential` are gone.

    y = gamma (W x - mean) / sqrt(var + eps) + beta is one convolution with weight gamma W / sqrt(var + eps); the copy
    computes the same function up to rounding.

    Args:
        network: Any module; it stays as it is.
    """
    folded = copy.deepcopy(network).eval()
    for block in list(folded.modules()):
        if isinstance(block, nn.Sequential):
            _fold_block(block)
    return folded


def _fold_block(block: nn.Sequential) -> None:
    for k in range(len(block) - 1):
        convolution, norm = block[k], block[k + 1]
        if isinstance(convolution, (nn.Conv2d, nn.ConvTranspose2d)) and isinstance(norm, nn.BatchNorm2d):
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            block[k] = fuse_conv_bn_eval(convolution, norm, transpose=transposed)
            block[k + 1] = nn.Identity()
