"""The page about a program: its feature maps on a drawn board or an image of one's own, and where there are none."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.jet import BinaryLinear, JetConv2d, Sign, freeze
from linnet.report.jet.feature_maps import Box
from linnet.report.jet.page import Inspected, jet_page


def of_maps(size=12, input_range=(-100, 27)):
    torch.manual_seed(0)
    net = nn.Sequential(JetConv2d(2, 20), nn.BatchNorm2d(20), Sign())
    return freeze(net.eval(), torch.randint(-100, 28, (2, 2, size, size)), input_range=input_range)


def of_vectors():
    torch.manual_seed(0)
    net = nn.Sequential(BinaryLinear(12, 4), nn.BatchNorm1d(4), Sign(), BinaryLinear(4, 2))
    return freeze(net.eval(), torch.randint(0, 256, (2, 12)))


def test_without_an_image_a_drawn_board_in_the_range_of_the_pixels_is_shown():
    html = jet_page(of_maps(), "net")
    assert "A drawn board, no photograph" in html
    assert "the first 16 of 20 maps" in html
    assert html == jet_page(of_maps(), "net")


def test_an_image_of_one_s_own_is_shown_with_what_it_is():
    frame = np.random.default_rng(0).integers(-100, 28, (2, 12, 12))
    html = jet_page(of_maps(), "net", Inspected(frame, [Box(1, 1, 4, 5)], "board 7 <b>"))
    assert "board 7 &lt;b&gt;" in html
    assert "A drawn board" not in html
    with pytest.raises(InputError, match="must hold pixels of -100"):
        jet_page(of_maps(), "net", Inspected(frame + 1000, [], "too bright"))


def test_vectors_and_tiny_frames_have_no_feature_maps():
    assert "Feature maps" not in jet_page(of_vectors(), "net")
    assert "Feature maps" not in jet_page(of_maps(6), "net")
    with pytest.raises(InputError, match="`image` must be for a network with sign maps"):
        jet_page(of_vectors(), "net", Inspected(np.zeros(12, np.int64), [], "a vector"))
