"""An average of the weights that the pruner wasn't told of is found at the first step."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from linnet.errors import TrainingError
from linnet.prune import Budget, Pruner


def network():
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 2))


def steps(net, pruner, count, average=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for seed in range(count):
        x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        F.cross_entropy(net(x), torch.arange(6) % 2).backward()
        optimizer.step()
        pruner.step(optimizer)
        if average is not None:
            average.update_parameters(net)


def made(net, **options):
    return Pruner(net, torch.zeros(1, 3, 8, 8), Budget(macs=0.5), align=1, steps=8, warmup=1, **options)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("when", ["before the pruner", "after it"])
def test_an_average_that_wasnt_told_is_refused_at_the_first_step(when):
    net = network()
    average = AveragedModel(net) if when == "before the pruner" else None
    pruner = made(net)
    average = average or AveragedModel(net)
    with pytest.raises(TrainingError, match=r"`also` must name the AveragedModel.*first step"):
        steps(net, pruner, 1, average)


def test_both_ways_out_train_to_the_end():
    net = network()
    average = AveragedModel(net)
    pruner = made(net, also=[average])
    steps(net, pruner, 8, average)
    assert pruner.compacted
    assert average.module[0].out_channels == net[0].out_channels == 8
    other = network()
    average = AveragedModel(other)
    pruner = made(other, compact=False)
    steps(other, pruner, 8, average)
    assert pruner.finish()[0].out_channels == 8


def test_averages_of_other_networks_are_no_concern():
    net, twin = network(), network()  # of one structure, drawn independently: trained side by side, say
    wide = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    others = [AveragedModel(twin), AveragedModel(wide), copy.deepcopy(net)]  # the last isn't an average
    pruner = made(net)
    steps(net, pruner, 8)
    assert pruner.compacted
    assert others[0].module[0].out_channels == 16
