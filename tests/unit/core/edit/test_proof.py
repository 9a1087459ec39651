"""The proof of an edit runs each network no more often than it needs."""

import torch
from torch import nn

from linnet.core import ChannelGraph, resize


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
