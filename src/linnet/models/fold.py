"""BatchNorm folded into the convolution before it, for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norm(network: Module) -> Module:
    """A copy in eval mode, in which each BatchNorm after a convolution in a `Sequential` is folded into it.

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
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        if not isinstance(convolution, (nn.Conv2d, nn.ConvTranspose2d)):
            continue
        transposed = isinstance(convolution, nn.ConvTranspose2d)
        if transposed and convolution.groups > 1:
            continue  # PyTorch's fusion takes the weight's second axis for all output channels
        block[k] = fuse_conv_bn_eval(convolution, norm, transpose=transposed)
        block[k + 1] = nn.Identity()
