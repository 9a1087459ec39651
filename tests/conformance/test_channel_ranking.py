"""Which channels the L1 criterion takes first, beside torch's own structured pruning."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from linnet.prune import Budget, plan


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_l1_takes_the_channels_that_torch_ln_structured_takes(share):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 24, 3), nn.ReLU(), nn.Conv2d(24, 20, 3), nn.ReLU(), nn.Conv2d(20, 4, 1))
    example = torch.zeros(1, 3, 9, 9)
    found = plan(net, example, Budget(macs=share), align=1)
    for name, kept in found.kept.items():
        layer = net.get_submodule(name)
        gone = layer.out_channels - len(kept)
        assert gone > 0
        weight = layer.weight.detach().clone()
        torch_prune.ln_structured(layer, "weight", amount=gone, n=1, dim=0)
        theirs = np.flatnonzero(layer.weight_mask.flatten(1).any(dim=1).numpy())
        torch_prune.remove(layer, "weight")
        layer.weight.data = weight
        assert tuple(theirs) == kept
