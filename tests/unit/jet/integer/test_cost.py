import pytest
import torch
from torch import nn

from linnet.jet import BinaryConv2d, JetConv2d, Sign, freeze
from linnet.jet.integer.cost import SENTENCE, per_position


def cost_of_second_layer(layer, side=8):
    torch.manual_seed(0)
    net = nn.Sequential(
        JetConv2d(1, layer.cin), nn.BatchNorm2d(layer.cin), Sign(), layer, nn.BatchNorm2d(layer.cout), Sign()
    )
    program = freeze(net.eval(), torch.zeros(1, 1, side, side))
    cost = program.cost()
    pick = lambda nodes: per_position(next(n for n in nodes if n.name == "3"))  # noqa: E731
    return pick(cost.nodes), pick(cost.binary), cost


def every_kind(layer):
    """Latents that use all 9 kernels in every input channel."""
    with torch.no_grad():
        for o in range(layer.cout):
            qy, qx = divmod(o % 9, 3)
            layer.latents[o] = 1
            for axis, q in ((0, qy), (1, qx)):
                layer.latents[o, :, axis, :q, 1] = -1
    return layer


@pytest.mark.parametrize(("channels", "ratio"), [(16, 9.3), (32, 12.2)])
def test_3x3_counts_are_those_of_the_formulas(channels, ratio):
    jet, binary, _ = cost_of_second_layer(every_kind(JetConv2d(channels, channels)))
    assert jet.adds == 16 * channels + (channels - 1) * channels
    assert jet.xnor == 0
    assert binary.xnor == 9 * channels**2
    assert binary.adds == (9 * channels - 1) * channels
    assert round((binary.xnor + binary.adds) / jet.adds, 1) == ratio


def test_5x5_tree_takes_84_adds_a_channel():
    layer = JetConv2d(1, 25, 5)
    with torch.no_grad():
        for o in range(25):
            layer.latents[o] = 1
            for axis, q in zip((0, 1), divmod(o, 5), strict=True):
                layer.latents[o, :, axis, :q, 1] = -1
    jet, _, _ = cost_of_second_layer(layer)
    assert jet.adds == 84


def test_unused_maps_and_passes_are_dropped():
    layer = JetConv2d(4, 4, taps="first_one")
    with torch.no_grad():
        layer.latents.fill_(1)  # all Gaussians: a + c, + 2b down, and the same across
    jet, _, _ = cost_of_second_layer(layer)
    assert jet.adds == 4 * (2 + 2) + 3 * 4
    assert jet.weight_bits == 16 * 4  # log2 9 in whole bits
    assert jet.tap_bits == 16 * 4


def test_bit_weighted_adds_buffers_and_widths_by_hand():
    layer = JetConv2d(1, 1, taps="first_one", padding=1)
    with torch.no_grad():
        layer.latents.fill_(1)
    jet, binary, cost = cost_of_second_layer(layer)
    assert jet.bit_adds == (2 + 3) + (4 + 5)  # a + c of bits: 0..2; + 2b: 0..4; across: 0..8, 0..16
    assert jet.accumulator_bits == 5
    assert jet.line_buffer_bits == 2 * (6 + 2)
    assert binary.bit_adds == 4 * 2 + 2 * 3 + 4 + 4  # nine bits: 2 2 2 2 | 3 3 | 4 (8 bits) | 4 (9 bits)
    assert SENTENCE in str(cost)


def test_binary_programs_cost_the_same_on_both_sides():
    _, _, cost = cost_of_second_layer(BinaryConv2d(4, 4, 3))
    jets = {n.name: n for n in cost.nodes}
    assert jets["3"] == {n.name: n for n in cost.binary}["3"]
