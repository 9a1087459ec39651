import numpy as np
import pytest
from hypothesis import given, strategies

from linnet.jet.c.bit_tables import Layout, bit_tables, int_kernels, limits, linear_rows
from linnet.jet.integer.nodes import Conv, Threshold

LAYOUTS = [Layout(64, 8), Layout(32, 1)]


def unpacked(words, count):
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")[:count]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["64", "32"])
@given(strategies.lists(strategies.booleans(), min_size=1, max_size=200))
def test_packing_keeps_every_bit_and_tails_are_zero(layout, bits):
    words = layout.packed(np.array(bits))
    assert words.dtype.itemsize * 8 == layout.word_bits
    assert unpacked(words, len(bits)).astype(bool).tolist() == bits
    assert not unpacked(words, words.size * layout.word_bits)[len(bits) :].any()


@pytest.mark.parametrize("layout", LAYOUTS, ids=["64", "32"])
@pytest.mark.parametrize("channels", [1, 5, 64, 70])
@pytest.mark.parametrize("largest", [1, 4, 9])
def test_planes_add_up_to_the_sum_of_the_weights(layout, channels, largest):
    rng = np.random.default_rng(channels)
    kernels = rng.integers(-largest, largest + 1, (6, channels, 3, 3)).astype(np.int8)
    kernels[kernels == 0] = 1 if largest == 1 else 0
    tables = bit_tables(Conv(kernels), layout)
    x = rng.choice([-1, 1], (channels, 3, 3))
    sign = tables.sign.swapaxes(1, 2).reshape(-1, tables.sign.shape[1])  # (outputs, words)
    mask = tables.mask.swapaxes(1, 2).reshape(-1, tables.mask.shape[1])
    for o in range(6):
        at = at_mask = total = 0
        for plane, words in zip(tables.planes, tables.plane_words, strict=True):
            bits = np.concatenate([x[:, i, j] > 0 for i, j in tables.groups[plane.group]])
            differ = layout.packed(bits) ^ sign[o, at : at + words]
            if plane.masked:
                differ = differ & mask[o, at_mask : at_mask + words]
                at_mask += words
            at += words
            total += int(np.bitwise_count(differ).sum()) << plane.shift
        assert tables.base[o] - 2 * total == (kernels[o].astype(int) * x).sum()


def test_a_3x3_jet_has_one_plane_at_corners_edges_and_centre():
    from linnet.jet import JetConv2d

    tables = bit_tables(Conv(JetConv2d(4, 8).kernels().numpy()), LAYOUTS[0])
    assert [(len(tables.groups[p.group]), p.shift, p.masked) for p in tables.planes] == [
        (4, 0, False), (4, 1, True), (1, 2, True),
    ]  # fmt: skip


def test_limits_agree_with_thresholds_at_t_minus_1_t_and_t_plus_1():
    base = np.array([9, 9, 9])
    threshold = Threshold(np.array([-9, 3, 10]), np.zeros(3, bool))
    found = limits(base, threshold, Layout(32, 1))
    for o, t in enumerate(threshold.thresholds):
        for count in range(10):
            assert (count <= found[o]) == (9 - 2 * count >= t)
    assert limits(base, threshold, Layout(64, 8)).tolist()[3:] == [-1] * 5


def test_integer_weights_are_in_the_order_row_column_channel():
    kernels = np.arange(2 * 3 * 2 * 2, dtype=np.int8).reshape(2, 3, 2, 2)
    table = int_kernels(Conv(kernels), Layout(32, 1))
    assert table[1, :, 0].flatten().tolist() == kernels[1].transpose(1, 2, 0).flatten().tolist()


def test_linear_weights_go_from_channel_first_to_channel_last():
    weights = np.where(np.arange(12) % 3 == 0, 1, -1).astype(np.int8)[None]
    row = linear_rows(weights, (2, 2, 3), Layout(32, 1))
    assert (
        unpacked(row, 12).tolist() == (weights.reshape(2, 2, 3).transpose(1, 2, 0).flatten() > 0).astype(int).tolist()
    )
