"""Kernels: what is read off a network, and that both runtimes compute the same one."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from linnet.prune.latency.kernel import uses


def _net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8, dilation=2, padding=2), nn.ConvTranspose2d(8, 6, 2, stride=2, output_padding=1),
        nn.Conv2d(6, 4, 1, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
    )  # fmt: skip


@pytest.fixture(scope="module")
def graph():
    return ChannelGraph(_net(), torch.zeros(1, 3, 8, 8))


def test_every_weighted_operator_is_found_with_what_decides_its_time(graph):
    found = [use.kernel for use in uses(graph.program)]
    assert [k.name for k in found] == ["convolution"] * 4 + ["product"]
    assert [k.groups for k in found] == [1, 0, 1, 2, 1]
    assert [k.stride for k in found[:4]] == [(2, 2), (1, 1), (2, 2), (1, 1)]
    assert [k.extent for k in found] == [(8, 8), (4, 4), (4, 4), (9, 9), (1,)]
    assert found[1].dilation == (2, 2)
    assert found[2].transposed
    assert found[2].output_padding == (1, 1)


def test_channels_follow_the_widths(graph):
    law = WidthCost(graph)
    places = [place for use in uses(graph.program) for place in (use.inputs, use.outputs)]
    assert law.axes(places, law.dense).tolist() == [[3, 8, 8, 8, 8, 6, 6, 4, 4, 5]]
    narrow = law.dense.copy()
    narrow[law.names.index("0")] = 5
    narrow[law.names.index("4")] = 1  # one channel in each of two groups
    assert law.axes(places, np.stack([law.dense, narrow]))[1].tolist() == [3, 5, 5, 5, 5, 6, 6, 2, 2, 5]


@pytest.mark.parametrize("number", range(5))
def test_both_runtimes_compute_the_same_kernel(graph, number):
    pytest.importorskip("onnxruntime", reason="the extra `onnx` isn't installed")
    pytest.importorskip("onnx", reason="the extra `onnx` isn't installed")
    use = uses(graph.program)[number]
    inputs, outputs = (8, 8) if use.kernel.groups == 0 else (6, 10)
    ours, theirs = (
        use.kernel.call(inputs, outputs, runtime, batch=2, threads=1)() for runtime in ("torch", "onnxruntime")
    )
    np.testing.assert_allclose(theirs[0], ours, rtol=1e-4, atol=1e-5)
    assert ours.shape[:2] == (2, outputs)


def test_a_product_of_two_activations_is_no_kernel():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.project = nn.Linear(6, 6)

        def forward(self, x):
            y = self.project(x)
            return y @ y.transpose(1, 2)

    found = uses(ChannelGraph(Attention(), torch.zeros(1, 4, 6)).program)
    assert [use.kernel.extent for use in found] == [(4,)]
