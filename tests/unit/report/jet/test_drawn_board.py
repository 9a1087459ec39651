"""The drawn board: tracks, and one gap where its box says."""

import pytest

from linnet.report.jet.drawn_board import BOARD, COPPER, drawn_board


@pytest.mark.parametrize("size", [(8, 8), (8, 30), (28, 28), (32, 32), (50, 41), (64, 64), (640, 640)])
def test_the_box_holds_a_gap_between_the_ends_of_a_track(size):
    pixels, box = drawn_board(*size)
    assert pixels.shape == size
    inside = pixels[box.y1 : box.y2, box.x1 : box.x2]
    assert any(line[0] == line[-1] == COPPER and BOARD in line for line in inside)
    assert 0 <= box.y1 < box.y2 <= size[0]
    assert 0 <= box.x1 < box.x2 <= size[1]
