"""Feature maps: where a map's values lie in the image, the part of an image around a box, and what is drawn."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.report.jet.feature_maps import Box, Place, cut_around, image_figure, maps_figure, places, sign_maps


def frozen(*layers, size):
    torch.manual_seed(0)
    return freeze(nn.Sequential(*layers).eval(), torch.randint(0, 256, (2, *size)))


@pytest.fixture(scope="module")
def program():
    return frozen(
        JetConv2d(1, 3, padding=1, pad_value=0), nn.MaxPool2d(2), nn.BatchNorm2d(3), Sign(),
        BinaryConv2d(3, 5, 4, stride=3), nn.BatchNorm2d(5), Sign(), size=(1, 30, 34),
    )  # fmt: skip


def test_each_value_is_centred_on_the_pixels_that_it_reads(program):
    """The mean place of the pixels whose change can change a value, found by trying, over the inside of the image."""
    graph = program.graph
    spread = np.zeros((30, 34, 30, 34), np.int64)  # pixels (y, x) lit alone
    spread[np.arange(30)[:, None], np.arange(34), np.arange(30)[:, None], np.arange(34)] = 1
    for node, place in zip(graph.nodes, places(graph), strict=True):
        lit = torch.from_numpy(spread.reshape(1020, 1, 30, 34)).double()
        for step in graph.nodes[1 : graph.nodes.index(node) + 1]:
            operation = step.operation
            if type(operation).__name__ == "Conv":
                ones = torch.ones(1, 1, operation.size, operation.size, dtype=torch.float64)
                lit = nn.functional.conv2d(lit, ones, stride=operation.stride, padding=operation.padding)
            elif type(operation).__name__ == "Pool":
                lit = nn.functional.avg_pool2d(lit, operation.window, operation.stride)
        i, j = (node.shape[1] - 1) // 2, (node.shape[2] - 1) // 2  # far from the border
        reads = lit[:, 0, i, j].reshape(30, 34).numpy() > 0
        ys, xs = np.nonzero(reads)
        assert ys.mean() == pytest.approx(place.y + i * place.step_y)
        assert xs.mean() == pytest.approx(place.x + j * place.step_x)


def test_an_extent_covers_a_pixel_around_each_value():
    assert Place().extent(4, 6) == (-0.5, 5.5, 3.5, -0.5)
    assert Place(0.5, 0.5, 2.0, 2.0).extent(2, 3) == (-0.5, 5.5, 3.5, -0.5)  # a pool of 2 covers the same pixels


def test_vectors_have_no_place_and_no_maps():
    net = frozen(BinaryLinear(12, 4), nn.BatchNorm1d(4), Sign(), BinaryLinear(4, 2), size=(12,))
    assert sign_maps(net, np.zeros(12, np.int64)) == []
    assert set(places(net.graph)) == {None}


def test_the_maps_are_the_program_s_signs(program):
    frame = torch.randint(0, 256, (1, 1, 30, 34), generator=torch.Generator().manual_seed(1))
    found = sign_maps(program, frame[0].numpy())
    assert [maps.values.shape for maps in found] == [(3, 30, 34), (5, 4, 5)]
    np.testing.assert_array_equal(found[-1].values, program.run(frame)[0].numpy())


def test_a_part_has_the_box_in_its_middle_and_the_size_of_a_frame():
    image = np.arange(40 * 50, dtype=np.int64).reshape(40, 50, 1) % 256
    image = image.astype(np.uint8)
    part, box = cut_around(image, Box(20, 30, 24, 36), 10, 12)
    assert part.shape == (10, 12, 1)
    assert box == Box(3, 3, 7, 9)
    np.testing.assert_array_equal(part, image[17:27, 27:39])
    part, box = cut_around(image, Box(0, 48, 2, 50), 10, 12)  # at the corner
    np.testing.assert_array_equal(part, image[:10, 38:])
    assert box == Box(0, 10, 2, 12)


def test_a_large_box_reduces_its_part():
    image = np.zeros((40, 48, 1), np.uint8)
    image[10:26, 10:30] = 255
    part, box = cut_around(image, Box(10, 10, 26, 30), 10, 12)
    assert part.shape == (10, 12, 1)
    assert (box.y2 - box.y1) <= 7.5
    inside = part[box.y1 + 1 : box.y2 - 1, box.x1 + 1 : box.x2 - 1]
    assert (inside == 255).all()
    whole, same = cut_around(image, Box(0, 0, 40, 48), 40, 48)  # an image of the frame's size stays as it is
    np.testing.assert_array_equal(whole, image)
    assert same == Box(0, 0, 40, 48)


@pytest.mark.parametrize(
    ("box", "told"),
    [
        (Box(5, 5, 5, 9), r"`box` must be y1,x1,y2,x2 with y1 < y2 <= 20 .*got 5,5,5,9"),
        (Box(-1, 0, 3, 3), "`box` must be"),
        (Box(0, 0, 21, 3), "`box` must be"),
        (Box(0, 0, 20, 20), r"`image` must be at least 30 x 30 for this box \(got 20 x 20\)"),
    ],
)
def test_a_box_that_does_not_fit_is_refused(box, told):
    with pytest.raises(InputError, match=told):
        cut_around(np.zeros((20, 20, 1), np.uint8), box, 10, 10)


def test_pictures_show_every_map_with_the_box_at_one_place(program):
    frame, box = np.zeros((1, 30, 34), np.int64), Box(4, 5, 9, 11)
    first = sign_maps(program, frame)[1]
    drawn = [image_figure(frame, [box]), maps_figure(first, (30, 34), [box])]
    shown = [ax for figure in drawn for ax in figure.axes if ax.images]
    assert len(shown) == 1 + 5
    for ax in shown:
        assert ax.patches[0].get_bbox().bounds == (4.5, 3.5, 6, 5)
        assert ax.get_xlim() == (-0.5, 33.5)
        assert ax.get_ylim() == (29.5, -0.5)
