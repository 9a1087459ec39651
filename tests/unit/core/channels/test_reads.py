"""Where channels are read, counted by hand."""

import torch
from torch import nn

from linnet.core import ChannelGraph


def told(graph):
    """Each read with class names in place of numbers."""
    names = [*graph.classes, None]
    return [
        (read.module, read.last, [names[number] for number in read.classes], read.channels.tolist())
        for read in graph.reads()
    ]


class Flattened(nn.Module):
    """A convolution, a depthwise one and a linear layer on the flattened 2 x 2 image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.depthwise = nn.Conv2d(2, 2, 1, groups=2)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.depthwise(self.conv(x)).flatten(1))


class Twice(nn.Module):
    """One layer that runs on two different inputs, and a weight that no layer holds."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.shared = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(3, 2)
        self.weight = nn.Parameter(torch.zeros(2, 4))

    def forward(self, x):
        return (self.shared(self.left(x)) + self.shared(self.right(x))) @ self.weight


def test_a_depthwise_convolution_reads_nothing_and_a_flattened_channel_is_read_at_each_position():
    assert told(ChannelGraph(Flattened(), torch.zeros(1, 3, 2, 2))) == [
        ("conv", False, ["input"] * 3, [0, 1, 2]),
        ("head", True, ["conv"] * 8, [0, 0, 0, 0, 1, 1, 1, 1]),
    ]


def test_every_operator_has_a_read_also_one_outside_a_layer_and_the_second_run_of_a_layer():
    found = told(ChannelGraph(Twice(), torch.zeros(5, 2)))
    assert found == [
        ("left", True, ["input"] * 2, [0, 1]),
        ("shared", True, ["left"] * 3, [0, 1, 2]),
        ("right", True, ["input"] * 2, [0, 1]),
        ("shared", True, ["left"] * 3, [0, 1, 2]),
        ("", True, ["shared"] * 2, [0, 1]),
    ]


def test_a_concatenation_is_read_in_the_order_of_its_parts():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1), nn.Conv2d(5, 1, 1)

        def forward(self, x):
            return self.c(torch.cat([self.b(x), self.a(x)], 1))

    found = told(ChannelGraph(Joined(), torch.zeros(1, 1, 2, 2)))
    assert found[-1] == ("c", False, ["b", "b", "b", "a", "a"], [0, 1, 2, 0, 1])


def test_a_graph_read_back_from_plain_data_has_the_same_reads():
    graph = ChannelGraph(Flattened(), torch.zeros(1, 3, 2, 2))
    assert told(ChannelGraph.from_dict(graph.to_dict())) == told(graph)
