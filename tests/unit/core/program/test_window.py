"""The one geometry of convolutions and pooling, beside torch."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core.program.operators import operator_of
from linnet.core.program.recorder import record
from linnet.core.program.window import Window, pooling

LAYERS = {
    "plain": (nn.Conv2d(4, 6, 3), (9, 8)),
    "strided": (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0)), (9, 8)),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=(1, 2), padding=2, groups=2), (9, 8)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, (3, 2), (1, 0), (1, 0), dilation=(2, 1)), (5, 4)),
    "one axis": (nn.Conv1d(4, 4, 5, 2, 1, groups=4), (11,)),
    "three axes": (nn.Conv3d(4, 6, (1, 2, 3), padding=(0, 1, 1)), (3, 4, 5)),
    "maximum": (nn.MaxPool2d((3, 2), (2, 1), (1, 0), dilation=(1, 2)), (9, 8)),
    "mean": (nn.AvgPool2d(3, padding=1), (9, 8)),
}


def window_of(layer, extent):
    program = record(layer, torch.zeros(1, 4, *extent))
    [node] = [n for n in program.nodes if operator_of(n).window is not None]
    return operator_of(node).window(program, node)


@pytest.mark.parametrize("name", LAYERS)
def test_output_sizes_are_torchs(name):
    layer, extent = LAYERS[name]
    assert tuple(window_of(layer, extent).output(extent)) == layer(torch.zeros(1, 4, *extent)).shape[2:]


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "maximum"])
def test_what_an_output_reads_is_where_its_gradient_is(name):
    layer, extent = LAYERS[name]
    if hasattr(layer, "weight"):
        layer.weight.data.fill_(1.0)
    x = torch.zeros(1, 4, *extent, requires_grad=True)
    out, window = layer(x), window_of(layer, extent)
    for axis in range(len(extent)):
        for place in range(out.shape[2 + axis]):
            line = out.select(2 + axis, place).sum()
            touched = torch.autograd.grad(line, x, retain_graph=True)[0].movedim(2 + axis, 0).flatten(1).abs().sum(1)
            here = touched.nonzero()[:, 0]
            low, high = window.reads(np.array([place]), np.array([place]), axis)
            if len(here):
                assert low[0] <= here[0]
                assert here[-1] <= high[0]
                inside = low[0] >= 0 and high[0] < extent[axis]
                assert not inside or window.dilation[axis] > 1 or (low[0], high[0]) == (here[0], here[-1])


def test_what_kind_of_window_it_is():
    assert Window((1, 1), (1, 1), (0, 0), (1, 1)).one_by_one
    assert not Window((1, 1), (2, 1), (0, 0), (1, 1)).one_by_one
    assert not Window((1,), (1,), (1,), (1,)).one_by_one
    assert window_of(*LAYERS["one axis"]).depthwise(4)
    assert not window_of(*LAYERS["dilated"]).depthwise(4)
    assert not Window((3,), (1,), (0,), (1,)).depthwise(1)


def test_a_pooling_moves_by_its_size_where_no_stride_is_given():
    assert pooling([3, 2], []).stride == (3, 2)
    assert pooling([3], 2, [1]) == Window((3, 3), (2, 2), (1, 1), (1, 1))
