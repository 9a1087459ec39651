"""A sheet of pictures has every picture in its place and its names beside it."""

import numpy as np
import pytest

from linnet.errors import InputError
from linnet.report import figure, picture_sheet


def test_every_picture_stands_in_its_row_and_column():
    rows = {"dark": [np.full((4, 4), 0, np.uint8)] * 2, "light": [np.full((4, 4, 3), 250, np.uint8)] * 2}
    fig = picture_sheet(rows, ["one", "two"])
    assert [text.get_text() for text in fig.texts] == ["dark", "light", "one", "two"]
    boxes = [axes.get_position() for axes in fig.axes]
    assert [float(axes.images[0].get_array().max()) for axes in fig.axes] == [0, 0, 250, 250]
    assert boxes[0].y0 > boxes[2].y1 - 1e-9
    assert boxes[0].x1 < boxes[1].x0
    assert "<svg" in figure(fig, alt="two rows")


def test_gray_pictures_may_have_a_channel_axis():
    assert len(picture_sheet({"a": [np.zeros((4, 4, 1), np.uint8)]}, ["one"]).axes) == 1


@pytest.mark.parametrize("rows", [{}, {"a": [np.zeros((4, 4), np.uint8)]}])
def test_rows_without_their_pictures_are_refused(rows):
    with pytest.raises(InputError, match="`rows"):
        picture_sheet(rows, ["one", "two"])
