"""Which classes the code of a network cuts at the same place."""

import torch
from torch import nn

from linnet.core import ChannelGraph


class Chunked(nn.Module):
    """8 channels cut in two halves of 4, each half with its own reader; a second layer is cut in three."""

    def __init__(self):
        super().__init__()
        self.a, self.left, self.right = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 1)
        self.x, self.y, self.z = nn.Conv2d(2, 5, 1), nn.Conv2d(2, 5, 1), nn.Conv2d(2, 5, 1)

    def forward(self, image):
        left, right = self.a(image).chunk(2, 1)
        x, y, z = (self.left(left) + self.right(right)).chunk(3, 1)
        return self.x(x) + self.y(y) + self.z(z)


def test_the_parts_of_each_cut_are_one_group_and_all_else_is_alone():
    graph = ChannelGraph(Chunked(), torch.zeros(1, 3, 2, 2))
    groups = graph.cut_together()
    assert groups == [("input",), ("a", "a#2"), ("left", "left#2", "left#3"), ("x",)]
    assert [[graph.classes[name].size for name in group] for group in groups] == [[3], [4, 4], [2, 2, 2], [5]]


def test_without_a_cut_every_class_is_alone():
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    assert ChannelGraph(net, torch.zeros(1, 3, 2, 2)).cut_together() == [("input",), ("0",), ("2",)]


def test_a_cut_joins_groups_that_share_a_class():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1)
            self.c, self.d, self.e = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)

        def forward(self, image):
            first, second = self.a(image).chunk(2, 1)
            third, fourth = self.b(image).chunk(2, 1)
            return self.c(first + third) + self.d(second) + self.e(fourth)

    groups = ChannelGraph(Shared(), torch.zeros(1, 3, 2, 2)).cut_together()
    assert groups == [("input",), ("a", "a#2", "b"), ("c",)]
