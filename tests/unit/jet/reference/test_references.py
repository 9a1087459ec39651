"""Both references give integers that can be counted by hand; random networks: tests/unit/jet/test_program.py."""

import numpy as np
import torch
from torch import nn

from linnet.jet import BinaryConv2d, Sign, freeze
from linnet.jet.reference.numpy_reference import run_numpy, trace_numpy
from linnet.jet.reference.torch_reference import trace_torch


def by_hand():
    """A sum of 2 x 2 pixels with weights +1 and, in the second row, -1; its sign; the larger of two neighbours."""
    net = nn.Sequential(BinaryConv2d(1, 1, 2), nn.BatchNorm2d(1), Sign(), nn.MaxPool2d((1, 2)))
    with torch.no_grad():
        net[0].latents.copy_(torch.tensor([[[[1.0, 1.0], [-1.0, -1.0]]]]))
    pixels = torch.tensor([[[[1, 2, 3], [4, 0, 0], [9, 0, 0]]]])
    return freeze(net.eval(), pixels), pixels


def test_the_integers_of_every_node_are_those_by_hand():
    program, pixels = by_hand()
    sums = [[1 + 2 - 4 - 0, 2 + 3 - 0 - 0], [4 + 0 - 9 - 0, 0]]
    signs = [[-1, 1], [-1, 1]]
    largest = [[1], [1]]
    for found in (trace_torch(program.graph, pixels), trace_numpy(program.graph, pixels.numpy())):
        maps = [np.asarray(value)[0, 0].tolist() for value in found]
        assert maps[0] == pixels[0, 0].tolist()
        assert sums in maps
        assert signs in maps
        assert maps[-1] == largest


def test_the_output_alone_is_the_last_of_the_trace():
    program, pixels = by_hand()
    np.testing.assert_array_equal(
        run_numpy(program.graph, pixels.numpy()), trace_numpy(program.graph, pixels.numpy())[-1]
    )
