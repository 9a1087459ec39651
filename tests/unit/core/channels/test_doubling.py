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


class Six(nn.Module):
    """A block that takes six channels in the middle only, and says so beside an operator without channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 6, 1), nn.Conv2d(6, 8, 1)
        self.c, self.d = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x):
        y = self.a(x)
        if y.shape[1] != 6:
            raise ValueError("six channels are needed")
        scale = torch.ones(())
        return x + self.b(y) * scale + self.d(self.c(x).view(x.shape[0], -1, *x.shape[2:]))


def test_blocks_that_fail_by_the_same_line_are_frozen_together(monkeypatch):
    """Found block by block, 24 blocks took 24 searches of several recordings each."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 1), *(Six() for _ in range(24)), nn.Conv2d(8, 2, 1))
    recordings, again = [], doubling.record_again
    monkeypatch.setattr(doubling, "record_again", lambda *given: recordings.append(1) or again(*given))
    graph = ChannelGraph(net, torch.zeros(1, 3, 4, 4))
    frozen = {name for name, known in graph.classes.items() if known.frozen is not None}
    assert {f"{place}.a" for place in range(1, 25)} <= frozen
    assert "six channels are needed" in graph.classes["24.a"].frozen
    assert all(graph.classes[f"{place}.c"].frozen is None for place in range(1, 25))
    assert len(recordings) <= 24


class Heads(nn.Module):
    """Attention whose heads have fixed sizes, so that the number of channels that enter can't change."""

    def __init__(self, size):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(size, size) for _ in range(4))
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.heads = 2
        self.head = size // self.heads

    def attend(self, x):
        samples, tokens, channels = x.shape
        q, k, v = (
            f(x).reshape(samples, tokens, self.heads, self.head).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        y = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(samples, tokens, channels)
        return self.out(y)

    def forward(self, x):
        return self.down(self.up(self.attend(x)).relu())


def test_channels_that_enter_the_module_of_the_failing_line_are_frozen_without_a_search(monkeypatch):
    """Searched for among all classes, they took dozens of recordings, and neighbours were frozen with them."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), *(Heads(8) for _ in range(6)), nn.Linear(8, 2))
    recordings, again = [], doubling.record_again
    monkeypatch.setattr(doubling, "record_again", lambda *given: recordings.append(1) or again(*given))
    graph = ChannelGraph(net, torch.zeros(2, 5, 6))
    assert all("reshape(samples, tokens, channels)" in graph.classes[name].frozen for name in ("0", "2.down", "6.down"))
    assert all(graph.classes[f"{place}.up"].frozen is None for place in range(2, 8))
    assert graph.classes["7.down"].frozen is None
    assert len(recordings) <= 8
