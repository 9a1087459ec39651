"""The registry of operators: one entry each, found by name, and what another package adds."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph, Layer, add_layer, add_operator, cost, resize, rule
from linnet.core.channels import layer_attributes
from linnet.core.program.operators import OPERATORS, Operator, described, operator_of
from linnet.core.program.program import base_name
from linnet.core.program.recorder import record
from linnet.errors import GraphError, InputError


@torch.library.custom_op("linnet_test::binary_convolution", mutates_args=())
def binary_convolution(x: torch.Tensor, weight: torch.Tensor, padding: int = 0) -> torch.Tensor:
    return nn.functional.conv2d(x, weight.sign(), padding=padding)


@binary_convolution.register_fake
def _(x, weight, padding=0):
    return nn.functional.conv2d(x, weight, padding=padding)


class BinaryConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3, dtype=torch.float64))

    def forward(self, x):
        return binary_convolution(x, self.weight)


@pytest.fixture
def clean():
    before, layers = dict(OPERATORS), list(layer_attributes.LAYERS)
    yield
    OPERATORS.clear()
    OPERATORS.update(before)
    layer_attributes.LAYERS[:] = layers


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), BinaryConv(4, 5), nn.Conv2d(5, 2, 1)).double()


IMAGE = torch.rand(2, 3, 8, 8, dtype=torch.float64)


def test_an_operator_that_nobody_described_is_refused_by_the_graph(net):
    with pytest.raises(GraphError, match="binary_convolution"):
        ChannelGraph(net, IMAGE, unsupported="refuse")
    assert "binary_convolution" in str(ChannelGraph(net, IMAGE).classes["0"].frozen)
    assert described("linnet_test::unknown") == Operator()


def test_an_operator_like_a_known_one_is_known_everywhere(net, clean):
    add_operator(torch.ops.linnet_test.binary_convolution, like="convolution")
    program = record(net, IMAGE)
    [node] = [n for n in program.nodes if n.op.startswith("linnet_test")]
    known = operator_of(node)
    assert known.macs(program, node) == 5 * 4 * 9 * 36
    assert cost(net, IMAGE).macs == 4 * 3 * 64 + 5 * 4 * 9 * 36 + 2 * 5 * 36
    low, high = known.span(program, node, node.inputs[0], (np.array([2]), np.array([3])), 0)
    assert (low[0], high[0]) == (2, 5)
    graph = ChannelGraph(net, IMAGE)
    assert [read.module for read in graph.reads()] == ["0", "2", "3"]


def test_a_layer_of_ones_own_keeps_its_attributes_true(net, clean):
    add_operator("linnet_test::binary_convolution", like="convolution")

    def sizes(resize):
        assert resize.new(0) == (1, 3, 8, 8)
        rows, columns = resize.new_parameter("weight")[:2]
        return {"inputs": columns, "outputs": rows}

    add_layer(Layer((BinaryConv,), ("linnet_test::binary_convolution",), sizes, masked=True))
    narrow = resize(net, ChannelGraph(net, IMAGE), {"0": [1, 0, 1, 1], "2": [0, 1, 1, 1, 0]})
    assert (narrow[2].inputs, narrow[2].outputs, narrow[2].weight.shape) == (3, 3, (3, 3, 3, 3))
    assert narrow.linnet_edit.error <= 1e-10
    with pytest.raises(InputError, match="`layer`"):
        add_layer(BinaryConv)


def test_what_is_given_goes_before_what_it_is_like(clean):
    add_operator("linnet_test::free", like="mm", macs=lambda program, node: 7)
    add_operator("linnet_test::freer", like="linnet_test::free", alike=False)
    assert described("linnet_test::freer").macs(None, None) == 7
    assert described("linnet_test::freer").factor == described("mm").factor == 0
    assert described("linnet_test::freer").alike is False

    @rule("linnet_test::free")
    def passes(call):
        return call.flow(0)

    assert described("linnet_test::freer").rule is passes
    assert described("linnet_test::free").macs(None, None) == 7


def test_a_wrong_description_is_refused(clean):
    with pytest.raises(GraphError, match=r"`mac`.*`macs`"):
        add_operator("linnet_test::free", mac=3)
    with pytest.raises(GraphError, match=r"torch\.ops"):
        add_operator(3, like="mm")
    add_operator("linnet_test::free", like="convolutoin")
    with pytest.raises(GraphError, match=r"`convolutoin`.*`convolution`"):
        described("linnet_test::free")


def test_every_operator_of_torch_in_the_table_exists():
    known = {base_name(name) for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")}
    composite = {"_pad_circular"}  # a name that the recorder gives
    described_here = {name for name, entry in OPERATORS.items() if entry != Operator(rule=entry.rule)}
    assert {name for name in described_here if "::" not in name} - known <= composite
