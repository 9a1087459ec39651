"""The proof of an edit: what it compares on, and that each network runs no more often than it needs."""

import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph, resize
from linnet.errors import ProofError
from tests.zoo import ZOO


def test_each_network_runs_once_for_each_set_of_weights():
    passes = []

    class Counted(nn.Sequential):
        def forward(self, x):
            passes.append(self[0].out_channels)
            return super().forward(x)

    net = Counted(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    graph = ChannelGraph(net, torch.zeros(1, 3, 8, 8))
    passes.clear()
    resize(net, graph, {"0": [2] * 8})
    assert passes == [8, 16] * 2  # the weights as they are, and drawn anew


def test_tokens_whose_order_does_not_count_are_proved_though_the_example_is_one_bag_twice():
    entry = ZOO["tokens"]
    model = entry.model()
    graph = ChannelGraph(model, torch.tensor([[1, 2, 3, 4, 5], [5, 3, 4, 2, 1]]))
    small = resize(model, graph, {"embed": [1, 0, 1, 1, 0, 1]})
    assert small.linnet_edit.error <= 1e-6


def test_a_network_that_never_reads_its_tokens_is_refused():
    class Deaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(11, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(torch.tanh(self.embed(x * 0).mean(1)))

    model = Deaf().eval()
    graph = ChannelGraph(model, torch.tensor([[1, 2, 3], [4, 5, 6]]))
    with pytest.raises(ProofError, match="outputs that differ"):
        resize(model, graph, {"embed": [1, 0, 1, 1, 0, 1]})
