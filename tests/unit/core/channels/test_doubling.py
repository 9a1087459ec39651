"""The doubling test is left out only where it finds nothing."""

import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels import doubling
from tests.zoo import ZOO


def stated(graph):
    return [
        (c.name, c.size, c.frozen, c.uniform, [(s.tensor, s.axis, s.role, s.index.tolist()) for s in c.slots])
        for c in graph.classes.values()
    ]


@pytest.mark.parametrize("name", ZOO)
def test_left_out_it_would_have_changed_nothing(name, monkeypatch):
    entry = ZOO[name]
    model, example = entry.make(), entry.example()
    shown = ChannelGraph(model, example)
    monkeypatch.setattr(doubling, "follows_surely", lambda walk: False)
    assert stated(shown) == stated(ChannelGraph(model, example))


def follows(model, shape):
    return doubling.follows_surely(ChannelGraph(model, torch.zeros(1, *shape)).walk)


@pytest.mark.parametrize("name", ["vgg", "resnet", "densenet", "mobilenet", "unet", "unet transposed"])
def test_convolution_networks_need_no_test(name):
    entry = ZOO[name]
    assert follows(entry.make(), entry.shape)


class Joined(nn.Module):
    """The same channels twice, added to a layer that makes both in one run."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        y = self.a(x)
        return self.c(torch.cat([y, y], 1) + self.b(x))


def test_a_class_twice_on_one_made_axis_needs_it():
    assert not follows(Joined(), (3, 4, 4))


@pytest.mark.parametrize("name", ["resnext", "pixel shuffle", "shufflenet v2", "glu chunk", "fused attention", "twice"])
def test_networks_that_cut_or_group_channels_need_it(name):
    entry = ZOO[name]
    assert not doubling.follows_surely(ChannelGraph(entry.make(), entry.example()).walk)
